// A web server in an application: starts it, asks it for a page as a client would, and prints the answer.
#include <evcorothread/ev_loop.h>
#include <evcorothread/ev_socket.h>
#include <webby/server.h>

#include <cstdio>
#include <string>

using namespace std::chrono_literals;

int main() {
    webby::Server server({.listen = {"127.0.0.1:0"}});
    server.get("/hello/:name", [](webby::Request& request, webby::Response& response) {
        response.text("Hello, " + std::string(request.param("name")) + "!\n");
    });
    if (!server.start()) return 1;

    corothread::StackPool stacks({.count = 1});
    evcorothread::EvLoop loop(stacks);
    loop.spawn("client", [&] {
        auto socket = evcorothread::EvSocket::connect(loop, server.addresses().front(), 5s);
        if (!socket) return;
        const std::string_view request = "GET /hello/world HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        if (!socket->send_all(request, 5s)) return;
        std::string answer;
        char buffer[4096];
        while (auto got = socket->recv(buffer, 5s)) answer.append(buffer, got.bytes);
        std::printf("%s", answer.substr(answer.find("\r\n\r\n") + 4).c_str());
    });
    loop.run();
    server.stop();
    server.join();
}
