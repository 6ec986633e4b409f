// The PROXY protocol, versions 1 and 2: what a load balancer says about its client before the client's own
// first byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "cutils/export.h"
#include "cutils/result.h"
#include "nutils/sock_addr.h"

namespace webby {

// What the header said. With UNKNOWN and LOCAL (the balancer's own health checks) there are no addresses: the
// connection's own are the truth then.
struct ProxyHeader {
    bool has_addresses = false;
    nutils::SockAddr source;       // the client
    nutils::SockAddr destination;  // where it connected to
    unsigned version = 0;          // 1 or 2
    bool checked = false;          // it carried a checksum, and that was right (version 2)
};

// Eats the header in pieces of any size.
//
//   ProxyHeaderParser parser;
//   switch (parser.eat(input)) {                    // eats from the front of `input`
//       case Step::need_more: …read more…
//       case Step::done:      use(parser.header()); what is left of input is the client's
//       case Step::refused:   log(parser.error().context()); …close, say nothing…
//   }
//
// A listener either speaks it or does not: never guess, or any client could claim any address; and only
// listen so where none but the balancers can connect (nutils::IpNetworkList).
//
// Strict: version 1 has one line of at most 107 bytes, single blanks, canonical numbers; version 2 at most
// `limit` bytes. The additions of version 2 (TLVs) have to fit their frame and are skipped, but for the
// CRC-32C, which is verified.
class EVC_API ProxyHeaderParser {
  public:
    enum class Step { need_more, done, refused };

    // Of version 2, all in all. What is asked for most: 28 to 232 bytes of addresses, a certificate's name.
    static constexpr std::size_t kLimit = 4096;

    explicit ProxyHeaderParser(std::size_t limit = kLimit) : limit_(limit) {}

    // Never eats what is behind the header. After `done` or `refused`: eats nothing, says the same again.
    [[nodiscard]] Step eat(std::string_view& input);

    // After done.
    [[nodiscard]] const ProxyHeader& header() const { return header_; }
    // After refused. Errors: errc::bad_message, or NetError::too_long beyond the limit.
    [[nodiscard]] const cutils::Error& error() const { return error_; }

  private:
    [[nodiscard]] std::size_t wanted() const;
    Step read();
    Step read_line();
    Step read_binary();
    bool read_line_addresses(std::string_view line);
    bool read_binary_addresses(unsigned family, std::string_view& payload);
    bool read_additions(std::string_view payload);
    Step refuse(const char* why);

    std::size_t limit_;
    std::string text_;  // the header so far
    ProxyHeader header_;
    cutils::Error error_{std::error_code()};
    Step step_ = Step::need_more;
};

}  // namespace webby
