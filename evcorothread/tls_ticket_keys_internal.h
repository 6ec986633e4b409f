// TlsTicketKeys: under which a server seals its clients' sessions. Internal.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <mutex>

struct ssl_ctx_st;

namespace evcorothread {

// A key seals for as long as a session lives, and opens for as long again: so who finds it later can read
// that much and no more. Any thread.
class TlsTicketKeys {
  public:
    using Clock = std::chrono::steady_clock;

    explicit TlsTicketKeys(Clock::duration lifetime) : lifetime_(lifetime) {}

    // Makes the context use these keys. Lifetime: longer than the context's.
    void attach(ssl_ctx_st* context);

    static constexpr std::size_t kNameSize = 16;
    static constexpr std::size_t kSecretSize = 32;
    struct Key {
        std::array<unsigned char, kNameSize> name{};
        std::array<unsigned char, kSecretSize> cipher{};
        std::array<unsigned char, kSecretSize> mac{};
        Clock::time_point born{};
        bool made = false;
    };
    // To seal with. False when there is no randomness.
    bool current(Key& key, Clock::time_point now) noexcept;
    // The key of this name; false when it is too old or somebody else's. `latest`: it still seals.
    bool find(const unsigned char* name, Key& key, bool& latest, Clock::time_point now) noexcept;

  private:
    const Clock::duration lifetime_;
    std::mutex mutex_;
    Key latest_;
    Key previous_;
};

}  // namespace evcorothread
