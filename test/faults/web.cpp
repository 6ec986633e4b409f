// webby in an application: its paradigms, what they serve, and what can be changed while they do.
#include "evcorothread/offload.h"
#include "test/faults/http_client.h"
#include "webby/event_hub.h"
#include "webby/read_multipart.h"
#include "webby/response_stream.h"
#include "webby/server.h"

namespace faults {
namespace {

using namespace webby;
using evcorothread::OffloadPool;
using evcorothread::TlsContext;

void answer_upload(const std::string& folder, Request& q, Response& r) {
    const auto to_file = [](const MultipartPart&) { return PartTarget::file; };
    auto form = read_multipart(q, {.folder = folder, .choose = to_file}, kPatience);
    if (!form) return r.error(Status::internal_error, form.error().message());
    ReceivedPart& part = form->parts.at(0);
    const std::string taken = folder + "/taken";
    if (auto moved = part.file.move_to(taken); !moved)
        return r.error(Status::internal_error, moved.error().message());
    r.text(std::to_string(part.size) + " bytes\n");
}

ServerOptions options(Paradigm paradigm, const Life& life) {
    ServerOptions options;
    options.listen = {"127.0.0.1:0"};
    options.listen_tls = {"127.0.0.1:0"};
    options.tls.certificates = {{life.certificate, life.key}};
    options.paradigm = paradigm;
    options.timeouts = {.head = 3s, .io = 3s, .idle = 2s, .linger = 300ms};
    options.max_active = 20;
    options.threads = 8;
    options.drain = 1s;
    options.access_log = life.folder + "/access.log";
    return options;
}

// What the servlets of a server need, and the server.
struct Site {
    Site(Paradigm paradigm, const Life& life) : server(options(paradigm, life)) {
        server.get("/hello", [](Request&, Response& r) { r.text("hello\n"); });
        server.post("/echo", [](Request& q, Response& r) { r.text(q.body()); });
        server.post("/upload", [&life](Request& q, Response& r) { answer_upload(life.folder, q, r); },
                    {.stream_body = true, .blocking = Blocking::offload});
        server.get("/later", [this](Request&, Response& r) {
            auto answer = r.defer();
            const auto posted = helpers.post([answer]() mutable {
                answer.response().text("later\n");
                answer.complete();
            });
            if (posted) failed("a job", posted);
        });
        server.get("/stream", [this](Request&, Response& r) {
            const auto posted = helpers.post([stream = r.stream()]() mutable {
                for (int i = 0; i < 10; ++i) stream.write("one piece of ten\n");
                stream.end();
            });
            if (posted) failed("a job", posted);
        });
        server.get("/events", [this](Request& q, Response& r) {
            hub.subscribe(q, r);
            const auto posted = helpers.post([this] {
                hub.publish({.data = "news"});
                hub.close();
            });
            if (posted) failed("a job", posted);
        });
        server.files("/files", life.folder, {.listing = true});
    }

    EventHub hub;
    OffloadPool helpers{{.threads = 1}};
    Server server;
};

void ask_everything(const Life& life, EvLoop& loop, Site& site) {
    const auto& addresses = site.server.addresses();
    auto trust = TlsContext::client({.ca_file = life.certificate});
    (void)good("the client's context", trust);
    const std::string part(50'000, 'u');
    const std::string form = "--cut\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n" +
                             part + "\r\n--cut--\r\n";
    for (const Question& question :
         {Question{.target = "/hello", .ending = "hello\n"},
          Question{.target = "/files/big.txt", .ending = "the end"},
          Question{.target = "/files/small.txt", .ending = "small\n"},
          Question{.target = "/files/big.txt", .ending = "end", .fields = "Range: bytes=-3\r\n"},
          Question{.target = "/files/", .ending = "</html>\n"},
          Question{.target = "/echo", .ending = "what I said", .method = "POST", .body = "what I said"},
          Question{.target = "/later", .ending = "later\n"},
          Question{.target = "/stream", .ending = "one piece of ten\n\r\n0\r\n\r\n"},
          Question{.target = "/upload",
          .ending = "50000 bytes\n",
          .method = "POST",
          .fields = "Content-Type: multipart/form-data; boundary=cut\r\n",
          .body = form},
          Question{.target = "/events", .ending = "data: news\n\n\r\n0\r\n\r\n"}})
        (void)ask(life, loop, addresses.at(0), question);
    if (!trust) return;
    for (int i = 0; i < 2; ++i) {
        (void)ask(life, loop, addresses.at(1), {.target = "/files/big.txt", .ending = "the end"}, &*trust);
        (void)good("reload", site.server.reload_certificates());
        (void)good("reopen", site.server.reopen_access_log());
    }
}

void serve(Paradigm paradigm, const Life& life) {
    Site site(paradigm, life);
    if (!good("webby", site.server.start())) return;
    in_loop([&](EvLoop& loop) { ask_everything(life, loop, site); });
    site.hub.close();
    site.server.stop();
    site.server.join();
}

}  // namespace

void web_coroutine(const Life& life) { serve(Paradigm::coroutine, life); }
void web_thread(const Life& life) { serve(Paradigm::thread, life); }
void web_event(const Life& life) { serve(Paradigm::event, life); }

void web_pages(const Life& life) {
    ServerOptions options;
    options.listen = {"127.0.0.1:0"};
    options.workers = 2;
    options.timeouts = {.head = 2s, .io = 2s, .idle = 1s, .linger = 300ms};
    options.drain = 500ms;
    options.stall_limit = 1s;
    Server server(options);
    server.metrics_page("/metrics");
    server.status_page("/status");
    server.health("/health");
    if (!good("webby", server.start())) return;
    in_loop([&](EvLoop& loop) {
        const auto& address = server.addresses().at(0);
        (void)ask(life, loop, address, {.target = "/health", .ending = "ok\n"});
        (void)ask(life, loop, address, {.target = "/metrics", .ending = "\n"});
        (void)ask(life, loop, address, {.target = "/status", .ending = "</html>\n"});
    });
    server.stop();
    server.join();
}

}  // namespace faults
