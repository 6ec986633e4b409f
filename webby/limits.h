// Limits: how much a client may ask of the server. Each default protects; each answer is said beside it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace webby {

// Of one message. The engine enforces them; it holds at most twice `head` for a connection that is
// working, nothing for one that is idle.
//
// Units: bytes, unless said otherwise.
struct Limits {
    std::size_t request_line = 8 * 1024;  // longer: 414
    std::size_t head = 32 * 1024;         // request line and all fields; longer: 431
    std::size_t header_count = 100;       // fields; more: 431
    std::size_t chunk_line = 1024;        // of a chunk's line, behind the size; longer: 400
    std::size_t trailers = 4 * 1024;      // the fields after the last chunk; longer: 431
    std::size_t empty_lines = 8;          // lines skipped before a request; more: 400
    std::uint64_t body = 1024 * 1024;     // larger: 413, before "100 Continue"
    std::uint64_t drain = 256 * 1024;  // of a body nobody read, eaten to keep the connection; more: it closes
    // Bytes a second that a body must come with in the long run, twice Timeouts::io granted on top; slower:
    // 408. Of bodies that a servlet reads itself its own deadlines decide. 0: as slow as it likes.
    std::uint64_t body_rate = 500;
    std::uint64_t requests = 0;  // a connection may make; then it closes. 0: any number
};

// What becomes of new work when all places are taken.
enum class WhenFull : std::uint8_t {
    // Connections wait in the kernel's backlog, requests for a stack or a thread, first come first served.
    wait,
    // They are answered 503 with Retry-After, at once, and closed. A request waits 20 ms for a thread, as one
    // that has answered is not free at once.
    refuse,
    // The connection that has been idle longest is closed for a new one; without an idle one, it waits.
    // Requests wait.
    close_idle,
};

// How long a client may take. All are on the monotonic clock. A year is the most that counts, here and for
// all other times of a server.
struct Timeouts {
    // From the first byte of a request to the end of its head, however it dribbles; then 408.
    std::chrono::milliseconds head{10'000};
    // Without any progress, while reading a body (then 408) or writing: then the connection is reset, and the
    // kernel forgets what it had for the client.
    std::chrono::milliseconds io{30'000};
    // Between requests; then the connection is closed without a word.
    std::chrono::milliseconds idle{60'000};
    // For the client to read an error answer while it still sends; then the connection is cut.
    std::chrono::milliseconds linger{2'000};
};

// How much of what such a client still sends is read; then the connection is cut.
inline constexpr std::size_t kLingerBytes = 256 * 1024;

}  // namespace webby
