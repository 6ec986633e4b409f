// hello_microhttpd THREADS: GET /hello by libmicrohttpd with a pool of so many threads, each with an epoll of
// its own. For bench/http.sh.
//
// Prints "hello_microhttpd: serving http://127.0.0.1:PORT/hello" when it is ready; ends by SIGTERM.
#include <arpa/inet.h>
#include <microhttpd.h>
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

// Called when the head is there, and again when the request is: who answers the first time closes the
// connection.
MHD_Result answer(void*, MHD_Connection* connection, const char* target, const char*, const char*,
                  const char*, size_t*, void** seen) {
    if (*seen == nullptr) {
        *seen = connection;
        return MHD_YES;
    }
    static char body[] = "Hello, world!\n";
    const bool known = std::strcmp(target, "/hello") == 0;
    MHD_Response* const response =
        MHD_create_response_from_buffer(known ? sizeof body - 1 : 0, body, MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(response, "Content-Type", "text/plain");
    const MHD_Result queued = MHD_queue_response(connection, known ? 200 : 404, response);
    MHD_destroy_response(response);
    return queued;
}

}  // namespace

int main(int argc, char** argv) {
    const auto threads = static_cast<unsigned>(argc == 2 ? std::atoi(argv[1]) : 0);
    if (threads == 0) {
        std::fprintf(stderr, "usage: hello_microhttpd THREADS\n");
        return 2;
    }
    sigset_t end;
    sigemptyset(&end);
    sigaddset(&end, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &end, nullptr);  // for all of its threads, too

    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    MHD_Daemon* const daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_TURBO, 0, nullptr, nullptr, answer, nullptr,
        MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_THREAD_POOL_SIZE, threads, MHD_OPTION_CONNECTION_LIMIT,
        20'000U, MHD_OPTION_CONNECTION_TIMEOUT, 600U, MHD_OPTION_END);
    const MHD_DaemonInfo* const bound =
        daemon == nullptr ? nullptr : MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
    if (bound == nullptr) {
        std::fprintf(stderr, "hello_microhttpd: cannot listen\n");
        return 1;
    }
    std::printf("hello_microhttpd: serving http://127.0.0.1:%u/hello\n", unsigned{bound->port});
    std::fflush(stdout);
    int which = 0;
    sigwait(&end, &which);
    MHD_stop_daemon(daemon);
    return 0;
}
