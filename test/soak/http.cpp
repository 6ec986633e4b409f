// webby in its three paradigms, with TLS: all kinds of requests, good and bad clients, certificates reloaded.
#include <fstream>

#include "evcorothread/ev_socket.h"
#include "evcorothread/offload.h"
#include "evcorothread/tls_socket.h"
#include "nutils/socket_options.h"
#include "test/soak/soak.h"
#include "webby/event_hub.h"
#include "webby/read_multipart.h"
#include "webby/response_stream.h"
#include "webby/server.h"

namespace soak {
namespace {

using namespace evcorothread;
using nutils::ByteStream;
using webby::Paradigm;
using webby::Request;
using webby::Response;

constexpr std::size_t kFileSize = 200'000;

// A server of one paradigm, and what its servlets need.
struct Site {
    Site(Paradigm paradigm, const std::string& folder, OffloadPool& helpers)
        : server({.listen = {"127.0.0.1:0"},
                  .listen_tls = {"127.0.0.1:0"},
                  .tls = {.certificates = {{folder + "/server.pem", folder + "/server.key"}}},
                  .paradigm = paradigm,
                  .timeouts = {.head = 300ms, .io = 500ms, .idle = 300ms, .linger = 100ms},
                  .max_active = 30,
                  .threads = 24,  // an SSE listener keeps one
                  .drain = 500ms}) {
        server.get("/hello", [](Request&, Response& r) { r.text("hello\n"); });
        server.post("/echo", [](Request& q, Response& r) { r.text(q.body()); });
        server.post("/upload",
                    [folder](Request& q, Response& r) {
                        const auto target = [](const webby::MultipartPart&) {
                            return webby::PartTarget::file;
                        };
                        auto form = webby::read_multipart(q, {.folder = folder, .choose = target}, 2s);
                        if (!form) return r.error(webby::Status::bad_request);
                        std::uint64_t bytes = 0;
                        for (const auto& part : form->parts) bytes += part.size;
                        r.text(std::to_string(bytes) + " bytes\n");
                    },
                    {.stream_body = true, .blocking = webby::Blocking::offload});
        server.get("/later", [&helpers](Request&, Response& r) {
            auto answer = r.defer();
            (void)helpers.post([answer]() mutable {
                answer.response().text("later\n");
                answer.complete();
            });
        });
        server.get("/stream", [&helpers](Request&, Response& r) {
            r.add_header("Content-Type", "text/plain");
            (void)helpers.post([stream = r.stream()]() mutable {
                for (int i = 0; i < 100; ++i)
                    if (!stream.write("one piece of a hundred\n")) return;
                stream.write("end\n");
            });
        });
        server.get("/events", [this](Request& q, Response& r) { hub.subscribe(q, r); });
        server.files("/files", folder);
    }

    webby::EventHub hub;  // outlives the server
    webby::Server server;
};

std::string head(std::string_view what, std::string_view fields = {}) {
    return std::string(what) + " HTTP/1.1\r\nHost: localhost\r\n" + std::string(fields) + "\r\n";
}

// One kind of request: what is said on a connection of its own, and what the answer, if it is a 200, must end
// in.
struct Talk {
    std::string say;
    std::string end;
};

Talk good_talk(Dice& dice) {
    const std::string last = "Connection: close\r\n";
    switch (dice.below(8)) {
        case 0: return {head("GET /hello") + head("GET /hello") + head("GET /hello", last), "hello\n"};
        case 1: return {head("GET /files/file.txt", last), "the end"};
        case 2: return {head("GET /files/file.txt", last + "Range: bytes=-3\r\n"), "end"};
        case 3: {
            const std::string body = dice.bytes(50'000);
            return {
                head("POST /echo", last + "Content-Length: " + std::to_string(body.size()) + "\r\n") + body,
                body};
        }
        case 4:
            return {head("POST /echo", last + "Transfer-Encoding: chunked\r\n") +
                        "5\r\nabcde\r\n3\r\nfgh\r\n0\r\n\r\n",
                    "abcdefgh"};
        case 5: {
            const std::string part = dice.bytes(80'000);
            const std::string body =
                "--cut\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f.txt\"\r\n\r\n" + part +
                "\r\n--cut--\r\n";
            return {head("POST /upload", last + "Content-Type: multipart/form-data; boundary=cut\r\n" +
                                             "Content-Length: " + std::to_string(body.size()) + "\r\n") +
                        body,
                    std::to_string(part.size()) + " bytes\n"};
        }
        case 6: return {head("GET /later", last), "later\n"};
        default: return {head("GET /stream", last), "end\n\r\n0\r\n\r\n"};
    }
}

std::string bad_words(Dice& dice) {
    switch (dice.below(5)) {
        case 0: return dice.bytes(3000);
        case 1: return "GET /hello HTTP/1.1\r\nHost: localhost\r\nX: ";  // and no more
        case 2: return head("POST /echo", "Content-Length: 100000\r\n") + "too little";
        case 3: return head("POST /echo", "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n") + "abc";
        default: return head("GET /files/../../etc/passwd");
    }
}

class Http final : public Feature {
  public:
    Http() : Feature("http") {}

    void run(Round& round) override {
        std::ofstream(round.folder + "/file.txt") << std::string(kFileSize, 'f') << "the end";
        OffloadPool helpers({.threads = 2, .name = "helper"});
        std::vector<std::unique_ptr<Site>> sites;
        for (const Paradigm paradigm : {Paradigm::coroutine, Paradigm::thread, Paradigm::event}) {
            sites.push_back(std::make_unique<Site>(paradigm, round.folder, helpers));
            if (const auto started = sites.back()->server.start(); !started)
                complain("webby does not start: " + started.error().message());
        }
        auto trust = TlsContext::client({.ca_file = round.folder + "/server.pem"});
        if (!trust) complain("no TLS client");
        crowd(round, "http client", 24, [&](Dice& dice) {
            Site& site = *sites[dice.below(sites.size())];
            if (dice.one_in(40)) (void)site.hub.publish({.data = "news"});
            if (dice.one_in(300))
                (void)site.server.reload_certificates();  // may fail for want of descriptors
            visit(round.loop, site, *trust, dice);
        });
        for (auto& site : sites) {
            site->hub.close();
            site->server.stop();
            // It blocks: not the loop.
            if (const auto joined = offload(
                    helpers, [&] { site->server.join(); }, 30s);
                !joined) {
                complain("a server does not stop");
                std::_Exit(1);
            }
        }
        sites.clear();
        helpers.close();
    }

  private:
    void visit(EvLoop& loop, Site& site, const TlsContext& trust, Dice& dice) {
        const bool secret = dice.one_in(4);
        auto socket = EvSocket::connect(loop, site.server.addresses().at(secret ? 1 : 0), 1s);
        if (!socket) {
            (void)this_evthread::delay(2ms);
            return;
        }
        if (dice.one_in(5)) return be_bad(*socket, dice);
        if (dice.one_in(20)) return listen(*socket, dice);
        if (!secret) return ask(*socket, dice);
        auto stream = TlsSocket::connect(std::move(*socket), trust, "localhost", 2s);
        if (stream) ask(*stream, dice);
    }

    void ask(ByteStream& stream, Dice& dice) {
        const Talk talk = good_talk(dice);
        if (!stream.send_all(talk.say, 2s)) return;
        std::string heard;
        char buffer[16 * 1024];
        IoResult got;
        while ((got = stream.recv(buffer, 5s))) {
            heard.append(buffer, got.bytes);
            if (dice.one_in(30)) (void)this_evthread::delay(dice.up_to(3ms));
        }
        if (got.timed_out()) complain("webby did not answer: " + talk.say.substr(0, 30));
        if (!got.eof() || !heard.starts_with("HTTP/1.1 20")) return;
        if (!heard.ends_with(talk.end))
            complain("to " + talk.say.substr(0, 30) + " webby said " + heard.substr(0, 200) + " … " +
                     heard.substr(heard.size() - std::min<std::size_t>(heard.size(), 60)));
        count();
    }

    static void listen(EvSocket& socket, Dice& dice) {
        if (!socket.send_all(head("GET /events"), 1s)) return;
        char buffer[4096];
        const Deadline until = TimePoint(socket.now() + dice.up_to(300ms));
        while (socket.recv(buffer, until)) {
        }
    }

    static void be_bad(EvSocket& socket, Dice& dice) {
        (void)socket.send_all(bad_words(dice), 500ms);
        char buffer[4096];
        if (dice.one_in(2)) (void)socket.recv(buffer, dice.up_to(200ms));
        if (dice.one_in(2)) (void)nutils::set_reset_on_close(socket.fd(), true);
    }
};

}  // namespace

std::unique_ptr<Feature> http() { return std::make_unique<Http>(); }

}  // namespace soak
