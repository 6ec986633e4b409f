// What the coroutine's and the event driver share: all that lives on their one loop. Internal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "evcorothread/ev_timer.h"
#include "webby/driver_base_internal.h"
#include "webby/exchange.h"
#include "webby/handshake_report_internal.h"

namespace webby {

class LoopDriver : public DriverBase {
  public:
    ~LoopDriver() override;

    void drain() final;
    [[nodiscard]] bool finished() const final { return context.draining && open() == 0; }

  protected:
    LoopDriver(evcorothread::EvLoop& the_loop, const Application& application,
               const DriverOptions& the_options, std::unique_ptr<AccessLog> log);

    // How many connections there are.
    [[nodiscard]] virtual std::size_t open() const = 0;
    // Closes the one that has been idle longest, if nothing has arrived on it. False: there is none.
    virtual bool close_oldest() = 0;
    // Ends what is idle, and the bodies that others make; the rest is to finish.
    virtual void end_idle() = 0;

    // False: there is no place for one more.
    bool make_room();
    // A connection has gone.
    void gone();
    void count_refused();
    // The access log is written soon.
    void lines_added() {
        if (access_log) flush_soon();
    }

    ExchangeContext context;
    ExchangePool exchanges;
    HandshakeReport handshakes;
    std::uint64_t refused = 0;

  private:
    void flush_soon();

    evcorothread::EvTimer drain_timer_;
    evcorothread::EvTimer log_timer_;
};

}  // namespace webby
