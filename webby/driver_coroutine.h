// CoroutineDriver: serves an application on an EvLoop. A connection is a coroutine while it has work, and a
// few hundred bytes while it has none.
#pragma once

#include <functional>
#include <memory>

#include "webby/driver.h"

namespace webby {

// The path of a connection: accepted on the loop, without a stack; parked; its first byte takes a stack (or
// waits its turn for one) and an Exchange; requests are answered; nothing more there: both go back, and it is
// parked again. So the stack pool limits work in progress, not clients.
//
// Cost:   a request is one recv(2), one send(2) and its share of epoll_wait(2); no allocation.
class EVC_API CoroutineDriver final : public Driver {
  public:
    CoroutineDriver(evcorothread::EvLoop& loop, const Application& application, const DriverOptions& options,
                    std::unique_ptr<AccessLog> access_log);
    ~CoroutineDriver() override;

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
    class TlsConnection;
    std::unique_ptr<Impl> impl_;
};

}  // namespace webby
