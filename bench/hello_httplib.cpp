// hello_httplib THREADS: GET /hello by cpp-httplib with a pool of so many threads. It keeps a thread for a
// connection as long as that is open, so THREADS is how many clients it serves. For bench/http.sh.
//
// Prints "hello_httplib: serving http://127.0.0.1:PORT/hello" when it is ready; ends by SIGTERM.
#include <httplib.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

namespace {
httplib::Server* serving = nullptr;
}

int main(int argc, char** argv) {
    const std::size_t threads = argc == 2 ? std::strtoul(argv[1], nullptr, 10) : 0;
    if (threads == 0) {
        std::fprintf(stderr, "usage: hello_httplib THREADS\n");
        return 2;
    }
    httplib::Server server;
    server.new_task_queue = [threads] { return new httplib::ThreadPool(threads); };
    server.set_keep_alive_max_count(1'000'000'000);
    server.set_keep_alive_timeout(600);
    server.set_tcp_nodelay(true);
    server.Get("/hello", [](const httplib::Request&, httplib::Response& response) {
        response.set_content("Hello, world!\n", "text/plain");
    });
    const int port = server.bind_to_any_port("127.0.0.1");
    if (port < 0) {
        std::fprintf(stderr, "hello_httplib: cannot listen\n");
        return 1;
    }
    serving = &server;
    std::signal(SIGTERM, [](int) { serving->stop(); });
    std::printf("hello_httplib: serving http://127.0.0.1:%d/hello\n", port);
    std::fflush(stdout);
    return server.listen_after_bind() ? 0 : 1;
}
