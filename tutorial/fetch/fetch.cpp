// Fetches a page, as a small curl: to a server by its name.
//
//   fetch [-4|-6] [http://]HOST[:PORT][/PATH] [SECONDS]     10 seconds unless told, for all of it
//
// The page goes to standard output, what is said about it to standard error. `connect` looks the name up on
// another OS thread, tries its addresses until one answers, and says what went wrong where. One deadline,
// made once, is handed to every step.
#include <evcorothread/ev_connect.h>
#include <nutils/byte_buffer.h>

#include <cstdio>
#include <cstdlib>
#include <string>

using namespace evcorothread;

struct Page {
    std::string host;  // with the port when there is one
    std::string path = "/";
    HappyEyeballsOptions how;
    Deadline until = Deadline::never;
};

static bool complain(const std::string& what) {
    std::fprintf(stderr, "fetch: %s\n", what.c_str());
    return false;
}

static bool print(std::string_view text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size()) return true;
    return complain("cannot write to standard output");
}

static bool fetch(EvLoop& loop, Resolver& names, const Page& page) {
    const bool has_port = page.host.rfind(':') != std::string::npos && !page.host.ends_with(']');
    auto server = connect(loop, names, has_port ? page.host : page.host + ":80", page.how, page.until);
    if (!server) return complain(server.error().message());

    const std::string request = "GET " + page.path + " HTTP/1.0\r\nHost: " + page.host + "\r\n\r\n";
    if (const auto sent = server->send_all(request, page.until); !sent)
        return complain("sending the request: " + sent.error.message());

    nutils::ByteBuffer head;
    const auto got = server->recv_until(head, "\r\n\r\n", 16384, page.until);
    if (!got) return complain("waiting for an answer: " + got.error.message());
    const std::string status(head.readable().substr(0, head.readable().find("\r\n")));
    if (!status.starts_with("HTTP/1.")) return complain("that is no answer of a web server");
    head.consume(got.bytes);

    std::size_t bytes = head.size();  // what came in one piece with the head
    if (!print(head.readable())) return false;
    char buffer[8192];
    auto more = server->recv(buffer, page.until);
    for (; more; more = server->recv(buffer, page.until)) {
        bytes += more.bytes;
        if (!print({buffer, more.bytes})) return false;
    }
    if (more.error != NetError::eof)
        return complain("after " + std::to_string(bytes) + " bytes: " + more.error.message());
    std::fflush(stdout);
    std::fprintf(stderr, "%s\n%zu bytes from %s\n", status.c_str(), bytes,
                 server->peer() ? server->peer()->to_string().c_str() : "a server that has gone");
    return true;
}

int main(int argc, char** argv) {
    Page page;
    int next = 1;
    const std::string family = argc > next ? argv[next] : "";
    if (family == "-4") page.how.families = Families::ipv4_only;
    if (family == "-6") page.how.families = Families::ipv6_only;
    if (family == "-4" || family == "-6") ++next;
    std::string url = argc > next ? argv[next++] : "";
    const int seconds = argc > next ? std::atoi(argv[next++]) : 10;
    if (url.starts_with("http://")) url.erase(0, 7);
    if (const std::size_t slash = url.find('/'); slash != std::string::npos) {
        page.path = url.substr(slash);
        url.resize(slash);
    }
    page.host = url;
    if (page.host.empty() || page.host == "https:" || seconds <= 0 || argc > next) {
        std::fprintf(stderr, "usage: fetch [-4|-6] [http://]HOST[:PORT][/PATH] [SECONDS]\n");
        return 2;
    }

    corothread::StackPool stacks({.count = 1, .pages = 8});
    EvLoop loop(stacks);
    OffloadPool pool({.threads = 1});
    Resolver names(pool);
    page.until = loop.now() + std::chrono::seconds(seconds);
    bool good = false;
    loop.spawn("fetch", [&] { good = fetch(loop, names, page); });
    loop.run();
    if (pool.figures().running == 0) return good ? 0 : 1;
    // A lookup that nobody waits for any more cannot be interrupted: the pool's end would wait for it.
    std::fflush(nullptr);
    std::_Exit(good ? 0 : 1);
}
