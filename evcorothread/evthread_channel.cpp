// The C face: channels, and select.
#include "evcorothread/evthread_channel.h"

#include <cstddef>
#include <cstring>
#include <memory_resource>
#include <new>
#include <optional>
#include <vector>

#include "evcorothread/channel.h"
#include "evcorothread/evthread_internal.h"
#include "evcorothread/select.h"

using namespace evcorothread;
using namespace evcorothread::c_face;

// What Channel<T> is for a T that is known only now: so many bytes, copied.
struct tagEVCHANNEL final : OwnedByLoop, ChannelCore {
    tagEVCHANNEL(EVLOOP& its_loop, std::size_t size, std::size_t capacity)
        : OwnedByLoop(its_loop), ChannelCore(capacity, size, std::align_val_t(alignof(std::max_align_t))) {}

    // Else it would abort.
    [[nodiscard]] bool on_its_thread() const { return os_thread_ == nullptr || at_home(); }

    std::error_code send(const void* message, Deadline deadline) {
        void* place = nullptr;
        const std::error_code error = place_to_send(place, const_cast<void*>(message), deadline);
        if (place != nullptr) std::memcpy(place, message, value_size_);
        return error;
    }
    std::error_code recv(void* message, Deadline deadline) {
        void* place = message;
        if (const std::error_code error = place_to_recv(place, deadline)) return error;
        if (place != message) take(place, message);  // else it was put there, and *this may be gone
        return {};
    }
    std::error_code try_send(const void* message) {
        void* const place = place_to_send();
        if (place == nullptr) return send_obstacle();
        std::memcpy(place, message, value_size_);
        return {};
    }
    std::error_code try_recv(void* message) {
        void* const place = place_to_recv();
        if (place == nullptr) return recv_obstacle();
        take(place, message);
        return {};
    }

  private:
    void take(void* place, void* message) {
        std::memmove(message, place, value_size_);  // a sender may send what we receive into
        if (capacity() == 0) return;
        if (const void* const next = oldest_is_gone(place)) std::memcpy(place, next, value_size_);
    }
};

namespace {

int outcome(const std::error_code& error) {
    if (!error) return 0;
    return error == NetError::closed ? fail(EPIPE) : fail(error);
}

bool good(const EVCHANNEL* channel) { return usable(channel) && channel->on_its_thread(); }
bool good_to_wait(const EVCHANNEL* channel) { return may_wait(channel) && channel->on_its_thread(); }

class MessageArm final : public ChannelArm {
  public:
    explicit MessageArm(EVCHANNEL_ARM& arm)
        : ChannelArm(*arm.channel, arm.op == EVCHANNEL_SEND ? Side::send : Side::recv, arm.message),
          arm_(arm) {}
    std::error_code happen() override {
        return arm_.op == EVCHANNEL_SEND ? arm_.channel->try_send(arm_.message)
                                         : arm_.channel->try_recv(arm_.message);
    }
    void handle(const std::error_code& error) override { arm_.error = error ? EPIPE : 0; }

  private:
    EVCHANNEL_ARM& arm_;
};

bool good(const EVCHANNEL_ARM& arm) {
    return arm.channel == nullptr || (good_to_wait(arm.channel) && arm.message != nullptr &&
                                      (arm.op == EVCHANNEL_RECV || arm.op == EVCHANNEL_SEND));
}

int select_of(EVCHANNEL_ARM* arms, int count, SelectOrder order, const timeval& timeout) {
    if (arms == nullptr || count <= 0 || !this_evthread::in_evthread()) return fail(EINVAL);
    const std::span<EVCHANNEL_ARM> all(arms, static_cast<std::size_t>(count));
    for (const EVCHANNEL_ARM& arm : all)
        if (!good(arm)) return fail(EINVAL);
    return guarded(-1, [&] {
        // A few arms find room here; the coroutine's stack may be small.
        alignas(std::max_align_t) std::byte room[1024];
        std::pmr::monotonic_buffer_resource memory(room, sizeof room);
        std::pmr::vector<std::optional<MessageArm>> made(all.size(), &memory);
        std::pmr::vector<SelectArm*> listed(&memory);
        std::pmr::vector<int> index(&memory);
        listed.reserve(all.size());
        index.reserve(all.size());
        for (std::size_t i = 0; i < all.size(); ++i) {
            if (all[i].channel == nullptr) continue;
            listed.push_back(&made[i].emplace(all[i]));
            index.push_back(static_cast<int>(i));
        }
        const SelectResult which = select_from(listed, order, deadline_of(timeout));
        return which.none() ? fail(which.error) : index[which.arm];
    });
}

}  // namespace

EVCHANNEL* EVCHANNEL_init(EVLOOP* loop, size_t size, size_t capacity) noexcept {
    if (!usable(loop) || size == 0) return fail_null(EINVAL);
    return guarded<EVCHANNEL*>(nullptr, [&] { return new tagEVCHANNEL(*loop, size, capacity); });
}

int EVCHANNEL_send(EVCHANNEL* channel, const void* message, struct timeval timeout) noexcept {
    if (!good_to_wait(channel) || message == nullptr) return fail(EINVAL);
    return guarded(-1, [&] { return outcome(channel->send(message, deadline_of(timeout))); });
}

int EVCHANNEL_recv(EVCHANNEL* channel, void* message, struct timeval timeout) noexcept {
    if (!good_to_wait(channel) || message == nullptr) return fail(EINVAL);
    return guarded(-1, [&] { return outcome(channel->recv(message, deadline_of(timeout))); });
}

int EVCHANNEL_try_send(EVCHANNEL* channel, const void* message) noexcept {
    if (!good(channel) || message == nullptr) return fail(EINVAL);
    return outcome(channel->try_send(message));
}

int EVCHANNEL_try_recv(EVCHANNEL* channel, void* message) noexcept {
    if (!good(channel) || message == nullptr) return fail(EINVAL);
    return outcome(channel->try_recv(message));
}

int EVCHANNEL_size(const EVCHANNEL* channel) noexcept {
    return good(channel) ? static_cast<int>(channel->size()) : fail(EINVAL);
}

int EVCHANNEL_close(EVCHANNEL* channel) noexcept {
    if (!good(channel)) return fail(EINVAL);
    channel->close();
    return 0;
}

int EVCHANNEL_free(EVCHANNEL* channel) noexcept {
    if (!good(channel)) return fail(EINVAL);
    delete channel;
    return 0;
}

int EVCHANNEL_select(EVCHANNEL_ARM* arms, int count, struct timeval timeout) noexcept {
    return select_of(arms, count, SelectOrder::fair, timeout);
}

int EVCHANNEL_select_ordered(EVCHANNEL_ARM* arms, int count, struct timeval timeout) noexcept {
    return select_of(arms, count, SelectOrder::ordered, timeout);
}
