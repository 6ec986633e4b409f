// A scenario: a short life of a part of the toolkit, server and client in one. It is run again and again,
// each time with one system call failing. Whatever fails is said in a line on stderr; what must never be,
// too.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <system_error>

#include "evcorothread/child_process.h"
#include "evcorothread/ev_loop.h"
#include "nutils/byte_stream.h"
#include "nutils/io_result.h"

namespace faults {

using namespace std::chrono_literals;
using evcorothread::EvLoop;

// For every wait. Nothing here takes longer than some milliseconds: whoever waits so long waits in vain.
constexpr auto kPatience = 5s;

// What a scenario is given.
struct Life {
    std::string folder;            // empty, for its files; removed with what is directly in it
    std::string certificate, key;  // PEM files, of "localhost"
    std::string error;             // what the failing call says ("ENOENT"), or empty
};
using Scenario = void (*)(const Life& life);

// What the files are that scenarios serve: made before anything fails.
constexpr std::size_t kBigFile = 300'000;  // "big.txt", which ends in "the end"
void make_files(const Life& life);         // also "small.txt", and "webby.conf" for program()

void loops(const Life& life);
void tcp(const Life& life);
void udp(const Life& life);
void names(const Life& life);
void relays(const Life& life);
void tls(const Life& life);
void threads(const Life& life);
void children(const Life& life);
void workers(const Life& life);
void web_coroutine(const Life& life);
void web_thread(const Life& life);
void web_event(const Life& life);
void web_pages(const Life& life);
void program(const Life& life);

// Something did not work, and here is why. That is all right. Any thread.
void failed(std::string_view what, std::string_view why);
// What must never be: a wrong answer, a wait in vain. Any thread.
void wrong(std::string_view what);
// Either of them: a time-out is a wait in vain.
void failed(std::string_view what, std::error_code why);
void failed(std::string_view what, std::error_code code, const std::string& words);
template <class R>
bool good(std::string_view what, const R& result) {
    if (!result) failed(what, result.error().code(), result.error().message());
    return static_cast<bool>(result);
}
inline bool good(std::string_view what, const nutils::IoResult& result) {
    if (!result) failed(what, result.error);
    return static_cast<bool>(result);
}
// The exit code: 0 nothing failed, 1 something did, 2 something was wrong.
[[nodiscard]] int verdict();
// Of a child that begins: what its parent has said is not its own.
void forget_all();

// Runs `body` in a coroutine of a new loop, and the loop to its end. Exceptions are said.
void in_loop(const std::function<void(EvLoop& loop)>& body);

// Says what it hears, to the end.
void echo(nutils::ByteStream& stream);
// Says some kilobytes, and must hear them again.
void converse(std::string_view what, nutils::ByteStream& stream);

// How a process ended that may end badly: ours not by the signal of a bug. Another program may: its loader
// crashes when it gets no memory.
struct Expected {
    int signal = 0;
    bool ours = true;
};
void check_end(std::string_view what, evcorothread::process::ChildProcess& child, Expected expected = {});

}  // namespace faults
