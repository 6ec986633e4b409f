// AddressLimit: how many connections a client may have at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "cutils/export.h"
#include "nutils/sock_addr.h"
#include "webby/client_key.h"

namespace webby {

// Counts connections by address; of IPv6, by the network of 64 bits that one customer has. Unix sockets are
// not counted.
//
// Owner: the server; outlives its places. Thread: any.
// Cost:  a lock and a look into a hash table when a connection comes and when it goes; memory for the
//        addresses that are there.
class EVC_API AddressLimit {
  public:
    // `most` > 0.
    explicit AddressLimit(std::size_t most) : most_(most) {}
    AddressLimit(const AddressLimit&) = delete;
    AddressLimit& operator=(const AddressLimit&) = delete;

    // A connection's place; gives itself back. Empty: there is none, or none was needed.
    class EVC_API Place {
      public:
        Place() = default;
        Place(Place&& other) noexcept : limit_(std::exchange(other.limit_, nullptr)), count_(other.count_) {}
        Place& operator=(Place&& other) noexcept {
            std::swap(limit_, other.limit_);
            std::swap(count_, other.count_);
            return *this;
        }
        ~Place() {
            if (limit_ != nullptr) limit_->leave(*count_);
        }

      private:
        friend class AddressLimit;
        using Count = std::pair<const ClientKey, std::size_t>;
        Place(AddressLimit& limit, Count& count) : limit_(&limit), count_(&count) {}
        AddressLimit* limit_ = nullptr;
        Count* count_ = nullptr;
    };

    // False: it has as many as it may. May throw std::bad_alloc.
    [[nodiscard]] bool enter(const nutils::SockAddr& peer, Place& place);

    [[nodiscard]] std::uint64_t refused() const;

  private:
    void leave(Place::Count& count);

    const std::size_t most_;
    mutable std::mutex mutex_;
    std::unordered_map<ClientKey, std::size_t, ClientHash> counts_;
    std::uint64_t refused_ = 0;
};

}  // namespace webby
