// echo_asio: the echo of bench/echo.sh on Boost.Asio, with callbacks on one thread. No time limit: that would
// be a timer of one's own.
#include <boost/asio.hpp>
#include <memory>

#include "bench/echo_common.h"

namespace {

using boost::asio::ip::tcp;
using Error = boost::system::error_code;

class Connection : public std::enable_shared_from_this<Connection> {
  public:
    explicit Connection(tcp::socket socket) : socket_(std::move(socket)) {}
    void receive() {
        socket_.async_read_some(boost::asio::buffer(buffer_),
                                [self = shared_from_this()](Error error, std::size_t got) {
                                    if (!error) self->send(got);
                                });
    }

  private:
    void send(std::size_t size) {
        boost::asio::async_write(socket_, boost::asio::buffer(buffer_, size),
                                 [self = shared_from_this()](Error error, std::size_t) {
                                     if (!error) self->receive();
                                 });
    }
    tcp::socket socket_;
    char buffer_[4096];
};

void accept(tcp::acceptor& acceptor) {
    acceptor.async_accept([&acceptor](Error error, tcp::socket socket) {
        if (!error) {
            socket.set_option(tcp::no_delay(true));
            std::make_shared<Connection>(std::move(socket))->receive();
        }
        accept(acceptor);
    });
}

}  // namespace

int main() {
    boost::asio::io_context context(1);  // one thread: no locks
    tcp::acceptor acceptor(context, tcp::v4(), bench::listen_on_loopback("echo_asio"));
    accept(acceptor);
    context.run();
}
