// ThreadDriver: serves an application with OS threads from a bounded pool, one a request.
#pragma once

#include <functional>
#include <memory>

#include "webby/driver.h"

namespace webby {

// The path of a connection: accepted on the loop; then it waits in one epoll set, holding no thread. The
// pool's threads wait there, too (leader and followers): the one that is woken by the first byte of a request
// serves the connection with ordinary blocking calls and deadlines, puts it back, and waits again. With all
// threads busy, requests wait in the set, first come first served.
//
// Threads start when there is work for one more, up to DriverOptions::threads; they last as long as the
// driver. The loop accepts, and sees to the timeouts of idle connections.
//
// Owner: as Driver; the destructor also waits for servlets that are running: nobody can interrupt those.
// Cost:  a request is an epoll_wait(2), recv(2), send(2) and epoll_ctl(2); about 250 bytes an idle
// connection.
class EVC_API ThreadDriver final : public Driver {
  public:
    ThreadDriver(evcorothread::EvLoop& loop, const Application& application, const DriverOptions& options,
                 std::unique_ptr<AccessLog> access_log);
    ~ThreadDriver() override;

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
    std::unique_ptr<Impl> impl_;
};

}  // namespace webby
