// SharedChannelArm: a select's arm at a SharedChannel; see select.h, which is what to include.
#pragma once

#include <cstddef>
#include <string>
#include <system_error>
#include <utility>

#include "cutils/export.h"
#include "evcorothread/select_arm.h"
#include "evcorothread/shared_channel.h"

namespace evcorothread {

// An arm at a SharedChannel, whatever goes through it.
class EVC_API SharedChannelArm : public SelectArm {
  public:
    void begin() override { met_ = Met::nobody; }
    bool ready() override;
    std::error_code happen() override;
    std::error_code wait_at(WaitPoint& point) override;
    void leave() override;
    bool happened(std::error_code& error) override;
    std::string what() const override;

    static constexpr std::size_t kPartySize = 192;

  protected:
    enum class Side : bool { recv, send };
    SharedChannelArm(SharedChannelBase& channel, Side side, void* place)
        : SelectArm(&channel), channel_(channel), place_(place), side_(side) {}
    ~SharedChannelArm() = default;
    void set_place(void* place) { place_ = place; }

  private:
    enum class Met : unsigned char { nobody, partner, end };

    SharedChannelBase& channel_;
    void* place_;  // of the value to send, or of the room for the one to receive
    const Side side_;
    bool waits_ = false;
    Met met_ = Met::nobody;  // who ended the wait, if it was through this channel
    // Who it is in the channel's queue, while it waits.
    alignas(std::max_align_t) unsigned char party_[kPartySize];
};

// From SharedChannel::on_recv.
template <class T, class F>
class SharedRecvArm final : public ReceivingArm<SharedChannelArm, T, typename SharedChannel<T>::Place, F> {
  public:
    SharedRecvArm(SharedChannel<T>& channel, F function)
        : SharedRecvArm::ReceivingArm(channel, std::move(function)) {}
};

// From SharedChannel::on_send.
template <class T, class Value, class F>
class SharedSendArm final : public SendingArm<SharedChannelArm, T, Value, F> {
  public:
    SharedSendArm(SharedChannel<T>& channel, const Value& value, F function)
        : SharedSendArm::SendingArm(channel, value, std::move(function)) {}
};

}  // namespace evcorothread
