#include "webby/driver_base_internal.h"

namespace webby {

using evcorothread::EvTcpAcceptor;

cutils::Result<nutils::SockAddr> DriverBase::listen(const nutils::SockAddr& address,
                                                    const nutils::ListenOptions& how,
                                                    const evcorothread::TlsContext* tls) {
    cutils::Result<EvTcpAcceptor> acceptor =
        EvTcpAcceptor::listen_raw(loop, address,
                                  [this, tls](nutils::UniqueFd fd, const nutils::SockAddr& peer) {
                                      accepted(std::move(fd), peer, {}, tls);
                                  },
                                  {how, {}});
    if (!acceptor) return acceptor.error();
    acceptors_.push_back(std::move(*acceptor));
    return acceptors_.back().local_address();
}

void DriverBase::pause() {
    if (std::exchange(paused_, true)) return;
    for (EvTcpAcceptor& acceptor : acceptors_) acceptor.pause();
}

void DriverBase::resume() {
    if (!std::exchange(paused_, false)) return;
    for (EvTcpAcceptor& acceptor : acceptors_) acceptor.resume();
}

void DriverBase::close_listeners() {
    for (EvTcpAcceptor& acceptor : acceptors_) acceptor.close();
}

void DriverBase::when_finished(std::function<void()> function) {
    if (finished()) return loop.post(std::move(function));
    on_finished_ = std::move(function);
}

void DriverBase::tell_finished() {
    if (on_finished_) loop.post(std::exchange(on_finished_, nullptr));
}

}  // namespace webby
