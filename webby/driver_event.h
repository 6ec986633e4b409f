// EventDriver: serves an application on an EvLoop by callbacks alone: no coroutine, no stack.
#pragma once

#include <functional>
#include <memory>

#include "webby/driver.h"

namespace webby {

// The path of a connection: accepted on the loop; watched; its first byte takes an Exchange; what is there is
// read and answered, servlets running to completion on the loop; what the kernel does not take waits for
// room; nothing more there: the exchange goes back. A servlet that needs something else first defers its
// response, and meanwhile only the exchange is held.
//
// Cost:   a request is one recv(2), one send(2) and its share of epoll_wait(2); no allocation.
class EVC_API EventDriver final : public Driver {
  public:
    EventDriver(evcorothread::EvLoop& loop, const Application& application, const DriverOptions& options,
                std::unique_ptr<AccessLog> access_log);
    // Blocks while a servlet runs on another thread (Blocking::offload).
    ~EventDriver() override;

    cutils::Result<nutils::SockAddr> listen(const nutils::SockAddr& address,
                                            const evcorothread::TlsContext* tls) override;
    void adopt(nutils::UniqueFd connection, const nutils::SockAddr& peer,
               evcorothread::ConnectionTicket place, const evcorothread::TlsContext* tls) override;
    void drain() override;
    void cancel() override;
    [[nodiscard]] bool finished() const override;
    void when_finished(std::function<void()> function) override;
    [[nodiscard]] Counts counts() const override;

  private:
    struct Impl;
    class Connection;
    std::unique_ptr<Impl> impl_;
};

}  // namespace webby
