#include "evcorothread/shared_channel.h"

#include <mutex>

#include "cutils/check.h"
#include "evcorothread/cross_waiter_internal.h"

namespace evcorothread {

using nutils::NetError;

namespace {
// A sender with its item, or a receiver with room for one.
struct Party final : CrossWaiter {
    Party(const char* reason, void* i) : CrossWaiter(reason), item(i) {}
    void* item;
};
}  // namespace

struct SharedChannelBase::Impl {
    Impl(std::size_t c, const ItemType& t)
        : type(t),
          capacity(c),
          room(static_cast<char*>(::operator new(bytes(c, t.size), std::align_val_t(t.alignment)))) {}
    ~Impl() {
        for (; count > 0; --count, first = next(first)) type.destroy(slot(first));
        ::operator delete(room, std::align_val_t(type.alignment));
    }

    static std::size_t bytes(std::size_t items, std::size_t size) {
        std::size_t all = 0;
        if (__builtin_mul_overflow(items, size, &all)) throw std::bad_array_new_length();
        return all;
    }
    [[nodiscard]] char* slot(std::size_t i) const { return room + i * type.size; }
    [[nodiscard]] std::size_t next(std::size_t i) const { return i + 1 == capacity ? 0 : i + 1; }
    void push(void* item) {
        const std::size_t end = first + count;
        type.move(slot(end >= capacity ? end - capacity : end), item);
        ++count;
    }
    void pop(void* place) {
        type.move(place, slot(first));
        type.destroy(slot(first));
        first = next(first);
        --count;
    }
    static Party& take(CrossQueue& parties) { return static_cast<Party&>(parties.pop()); }
    std::mutex mutex;
    const ItemType type;
    const std::size_t capacity;
    char* const room;
    std::size_t first = 0;
    std::size_t count = 0;
    bool closed = false;
    CrossQueue senders;    // only while it is full
    CrossQueue receivers;  // only while it is empty
};

SharedChannelBase::SharedChannelBase(std::size_t capacity, const ItemType& type)
    : impl_(std::make_unique<Impl>(capacity, type)) {}

SharedChannelBase::~SharedChannelBase() {
    const std::lock_guard lock(impl_->mutex);  // who has ended the last wait has let go
    EVC_CHECK(impl_->senders.unused() && impl_->receivers.unused(),
              "a SharedChannel is destroyed while somebody waits on it");
}

std::error_code SharedChannelBase::send_item(void* item, const Deadline* deadline) {
    Impl& channel = *impl_;
    std::unique_lock lock(channel.mutex);
    if (channel.closed) return NetError::closed;
    if (!channel.receivers.empty()) {
        Party& receiver = Impl::take(channel.receivers);
        channel.type.move(receiver.item, item);
        receiver.wake();
        return {};
    }
    if (channel.count < channel.capacity) {
        channel.push(item);
        return {};
    }
    if (deadline == nullptr) return NetError::would_block;
    Party self("send to a shared channel", item);
    return to_error(channel.senders.wait(self, lock, *deadline));
}

std::error_code SharedChannelBase::recv_item(void* place, const Deadline* deadline) {
    Impl& channel = *impl_;
    std::unique_lock lock(channel.mutex);
    const bool had_one = channel.count > 0;
    if (had_one) channel.pop(place);
    if (!channel.senders.empty()) {
        Party& sender = Impl::take(channel.senders);
        if (had_one)
            channel.push(sender.item);
        else
            channel.type.move(place, sender.item);
        sender.wake();
        return {};
    }
    if (had_one) return {};
    if (channel.closed) return NetError::closed;
    if (deadline == nullptr) return NetError::would_block;
    Party self("receive from a shared channel", place);
    return to_error(channel.receivers.wait(self, lock, *deadline));
}

void SharedChannelBase::close() {
    const std::lock_guard lock(impl_->mutex);
    impl_->closed = true;
    impl_->senders.wake_all(Wake::closed);
    impl_->receivers.wake_all(Wake::closed);
}

bool SharedChannelBase::is_closed() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->closed;
}

std::size_t SharedChannelBase::capacity() const { return impl_->capacity; }

std::size_t SharedChannelBase::size() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->count;
}

}  // namespace evcorothread
