// One application, the same requests, three paradigms: whoever drives the connections, the bytes are the
// same.
#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "corothread/stack_pool.h"
#include "evcorothread/cross_event.h"
#include "evcorothread/ev_loop.h"
#include "test/support/sanitizers.h"
#include "test/webby/started_server.h"
#include "test/webby/temp_folder.h"

#include "test/support/harness.h"

using namespace webby;
using namespace webby_test;

namespace {

// Completes deferred responses from a thread of its own.
class Answers {
  public:
    void later(Deferred answer, std::function<void(Response&)> fill) {
        const std::lock_guard lock(mutex_);
        threads_.emplace_back([this, answer = std::move(answer), fill = std::move(fill)]() mutable {
            (void)may_answer.wait(20s);
            fill(answer.response());
            answer.complete();
            answer = {};
            ++answered;
        });
    }
    ~Answers() {
        may_answer.set();
        for (std::thread& thread : threads_) thread.join();
    }
    evcorothread::CrossEvent may_answer;
    std::atomic<int> answered{0};

  private:
    std::mutex mutex_;
    std::vector<std::thread> threads_;
};

class Stamp final : public Filter {
  public:
    bool on_request(Request& request, Response& response) override {
        response.add_header("X-In", "1");
        if (request.path() != "/stopped") return true;
        response.status(Status::forbidden).text("no\n");
        return false;
    }
    void on_response(const Request&, Response& response) override {
        response.add_header("X-Out", std::to_string(response.body_size()));
    }
};

// A body that is made while it is sent.
class Digits final : public BodySource {
  public:
    explicit Digits(std::uint64_t size) : left_(size) {}
    nutils::IoResult read(std::span<char> buffer) override {
        if (left_ == 0) return {0, nutils::NetError::eof};
        const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, buffer.size()));
        for (char& c : buffer.first(size)) c = static_cast<char>('0' + left_-- % 10);
        return {size, {}};
    }

  private:
    std::uint64_t left_;
};

struct Case {
    const char* name;
    std::string input;
    const char* expected;  // stands in the answer
    bool split = false;    // at every byte
};

class ParadigmsFixture : public StartedServerFixture {
  public:
    void setup() override {
        StartedServerFixture::setup();
        folder.emplace();
        folder->write("index.html", "<p>");
        content.resize(300'000);
        for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 7 + i / 251);
        folder->write("big.bin", content);
        options.limits.body = 100'000;
        options.limits.head = 2000;
        options.limits.request_line = 1000;
    }
    void teardown() override {
        answers.may_answer.set();
        StartedServerFixture::teardown();
        folder.reset();
    }

    // The application.
    Server& make(Paradigm paradigm) {
        StartedServerFixture::make(paradigm);
        server->get("/hello", [](Request&, Response& r) { r.text("hello\n"); });
        server->get("/hello/:name",
                    [](Request& q, Response& r) { r.text("Hello, " + q.param("name") + "!\n"); });
        server->post("/echo", [](Request& q, Response& r) { r.body(q.body(), "application/x-test"); });
        server->post("/count",
                     [](Request& q, Response& r) {
                         std::size_t bytes = 0;
                         char buffer[1000];
                         nutils::IoResult got;
                         while ((got = q.read_body(buffer, 20s))) bytes += got.bytes;
                         r.text(std::to_string(bytes + q.body().size()) + (got.eof() ? " eof" : " cut"));
                     },
                     {.stream_body = true});
        server->post("/ignore", [](Request&, Response& r) { r.text("ignored\n"); }, {.stream_body = true});
        server->get("/throw", [](Request&, Response&) { throw std::runtime_error("oops"); });
        server->get("/big", [](Request&, Response& r) { r.text(std::string(3'000'000, 'x')); });
        server->get("/empty", [](Request&, Response& r) { r.status(Status::no_content); });
        server->get("/source", [](Request& q, Response& r) {
            const std::uint64_t size = 500'000;
            r.add_header("Content-Type", "application/x-digits");
            r.source(std::make_unique<Digits>(size),
                     q.query() == "sized" ? std::optional(size) : std::nullopt);
        });
        server->get("/file", [this](Request&, Response& r) {
            r.file(nutils::UniqueFd(::open((folder->path() + "/big.bin").c_str(), O_RDONLY | O_CLOEXEC)),
                   1000, 5);
        });
        server->get("/shrunk", [this](Request&, Response& r) {
            r.file(nutils::UniqueFd(::open((folder->path() + "/big.bin").c_str(), O_RDONLY | O_CLOEXEC)),
                   600'000);
        });
        server->get("/deferred", [this](Request& q, Response& r) {
            r.add_header("X-Before", "kept");
            answers.later(r.defer(), [name = std::string(q.query())](Response& response) {
                response.add_header("Content-Type", "text/x-late; with=\"something long enough\"");
                response.body("late " + name + "\n", {});
            });
        });
        server->get("/deferred-file", [this](Request&, Response& r) {
            answers.later(r.defer(), [this](Response& response) {
                response.file(
                    nutils::UniqueFd(::open((folder->path() + "/big.bin").c_str(), O_RDONLY | O_CLOEXEC)),
                    200'000);
            });
        });
        server->get("/deferred-at-once", [](Request&, Response& r) {
            Deferred answer = r.defer();
            answer.response().text("at once\n");
            answer.complete();
            answer.complete();
        });
        server->get("/dropped", [](Request&, Response& r) { (void)r.defer(); });
        server->get("/deferred-then-throw", [](Request&, Response& r) {
            Deferred answer = r.defer();
            throw std::runtime_error("oops");
        });
        server->post("/blocking",
                     [](Request& q, Response& r) {
                         std::this_thread::sleep_for(5ms);
                         if (q.body() == "throw") throw std::runtime_error("oops");
                         r.text(std::string(q.body()) + " from " + (q.peer().is_ip() ? "ip" : "?") + "\n");
                     },
                     {.blocking = Blocking::offload});
        server->post("/blocking-count",
                     [](Request& q, Response& r) {
                         std::size_t bytes = 0;
                         char buffer[100];
                         while (const auto got = q.read_body(buffer, 1s)) bytes += got.bytes;
                         r.text(std::to_string(bytes) + "\n");
                     },
                     {.stream_body = true, .blocking = Blocking::offload});
        server->files("/files", folder->path());
        server->add_filter(std::make_unique<Stamp>());
        return *server;
    }
    void start(Paradigm paradigm) { make(paradigm).start().value(); }

    // Without Date fields.
    static std::string hear_all(BlockingSocket& socket) {
        return without_dates(StartedServerFixture::hear_all(socket));
    }
    static std::string hear_until(BlockingSocket& socket, std::string_view text) {
        return without_dates(StartedServerFixture::hear_until(socket, text));
    }
    static std::string without_dates(std::string heard) {
        for (const std::string_view field : {"\r\nDate: ", "\r\nLast-Modified: "})
            for (std::size_t at = 0; (at = heard.find(field, at)) != std::string::npos;)
                heard.erase(at, heard.find("\r\n", at + 2) - at);
        return heard;
    }
    // Says `input`, in one piece or two, ends its half, and hears what comes.
    std::string talk(std::string_view input, std::size_t split = std::string_view::npos) {
        BlockingSocket socket = client();
        if (!socket.send_all(input.substr(0, split), 20s)) return "<not sent>";
        if (split < input.size()) {
            const int now = 1;  // pieces of their own
            ::setsockopt(socket.fd(), IPPROTO_TCP, 1, &now, sizeof now);
            std::this_thread::yield();
            if (!socket.send_all(input.substr(split), 20s)) return "<second half not sent>";
        }
        (void)socket.shutdown_send();
        return hear_all(socket);
    }

    // Connections are kept.
    static std::string get(std::string_view target, std::string_view fields = {}) {
        return "GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n";
    }
    static std::string post(std::string_view target, std::string_view body, std::string_view fields = {}) {
        return "POST " + std::string(target) +
               " HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
               std::string(fields) + "\r\n" + std::string(body);
    }

    static std::vector<Case> cases();

    Answers answers;
    std::optional<TempFolder> folder;
    std::string content;
};

std::vector<Case> ParadigmsFixture::cases() {
    const std::string chunked =
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n5;x=y\r\ndefgh\r\n0\r\nTrailer: t\r\n\r\n";
    return {
        {"hello", get("/hello"), "200 OK", true},
        {"parameter", get("/hello/Ada%20L"), "Hello, Ada L!\n"},
        {"head", "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n" + get("/hello"), "Content-Length: 6\r\n", true},
        {"HTTP/1.0", "GET /hello HTTP/1.0\r\n\r\n", "200 OK", true},
        {"pipelined", get("/hello") + post("/echo", "abc") + get("/nowhere") + get("/hello"), "404 Not Found",
         true},
        {"close in a pipeline", get("/hello", "Connection: close\r\n") + get("/hello"), "Connection: close"},
        {"chunked", chunked + get("/hello"), "abcdefgh", true},
        {"streamed", post("/count", std::string(50'000, 'z')), "50000 eof"},
        {"streamed, chunked",
         "POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
         "4 eof", true},
        {"a body nobody reads", post("/ignore", std::string(5000, 'z')) + get("/hello"), "hello\n"},
        {"too large", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 999999\r\n\r\nabc", "413 "},
        {"too large, streamed", "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 999999\r\n\r\n", "413 "},
        {"cut off", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", "400 "},
        {"bad chunk",
         "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n" + get("/hello"),
         "400 ", true},
        {"no host", "GET /hello HTTP/1.1\r\n\r\n", "400 ", true},
        {"long line", get("/" + std::string(2000, 'x')), "414 "},
        {"large head", get("/hello", "X: " + std::string(3000, 'x') + "\r\n"), "431 "},
        {"smuggling",
         "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
         "0\r\n\r\n" +
             get("/hello"),
         "400 "},
        {"method", "DELETE /hello HTTP/1.1\r\nHost: a\r\n\r\n", "405 "},
        {"options", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "204 "},
        {"exception", get("/throw") + get("/hello"), "500 "},
        {"filter", get("/stopped") + get("/hello"), "403 "},
        {"empty", get("/empty") + get("/hello"), "204 "},
        {"big", get("/big") + get("/hello"), "Content-Length: 3000000"},
        {"index", get("/files/"), "<p>", true},
        {"file", get("/files/big.bin") + get("/hello"), "Content-Length: 300000"},
        {"part of a file", get("/file") + get("/file") + get("/hello"), "Content-Length: 1000"},
        {"file, head", "HEAD /files/big.bin HTTP/1.1\r\nHost: a\r\n\r\n" + get("/hello"), "hello\n"},
        {"source", get("/source") + get("/hello"), "Transfer-Encoding: chunked"},
        {"source of a known size", get("/source?sized") + get("/hello"), "Content-Length: 500000"},
        {"source, HTTP/1.0", "GET /source HTTP/1.0\r\n\r\n", "Connection: close"},
        {"source, head", "HEAD /source HTTP/1.1\r\nHost: a\r\n\r\n" + get("/hello"), "hello\n"},
        {"hidden", get("/files/.x") + get("/files/../x"), "404 "},
        {"expect", post("/echo", "abc", "Expect: 100-continue\r\n"), "abc"},
        {"deferred", get("/hello") + get("/deferred?1") + get("/deferred?2") + get("/hello"), "late 2\n"},
        {"deferred, head", "HEAD /deferred?1 HTTP/1.1\r\nHost: a\r\n\r\n" + get("/hello"), "text/x-late"},
        {"deferred file", get("/deferred-file") + get("/hello"), "Content-Length: 200000"},
        {"deferred at once", get("/deferred-at-once") + get("/hello"), "at once\n", true},
        {"dropped", get("/dropped") + get("/hello"), "500 "},
        {"deferred, then an exception", get("/deferred-then-throw") + get("/hello"), "500 "},
        {"blocking", post("/blocking", "abc") + get("/hello"), "abc from ip\n"},
        {"blocking exception", post("/blocking", "throw") + get("/hello"), "500 "},
        {"blocking, streamed", post("/blocking-count", std::string(5000, 'x')), "5000\n"},
    };
}

}  // namespace

TEST_GROUP_BASE(Paradigms, ParadigmsFixture){};

TEST(Paradigms, AnswerTheSameBytesWholeOrSplitAnywhere) {
    answers.may_answer.set();
    const std::vector<Case> all = cases();
    std::vector<std::string> reference(all.size());
    for (const Paradigm paradigm : kAllParadigms) {
        start(paradigm);
        for (std::size_t i = 0; i < all.size(); ++i) {
            const std::string where = std::string(to_string(paradigm)) + ": " + all[i].name;
            const std::string heard = talk(all[i].input);
            if (paradigm == kAllParadigms[0]) {
                reference[i] = heard;
                STRCMP_CONTAINS_TEXT(all[i].expected, heard.c_str(), where.c_str());
            }
            CHECK_TEXT(heard == reference[i], (where + "\n" + heard.substr(0, 2000)).c_str());
            if (!all[i].split) continue;
            const std::size_t step = test_support::kTsan ? 7 : 1;
            for (std::size_t at = 1; at < all[i].input.size(); at += step) {
                const std::string pieces = talk(all[i].input, at);
                CHECK_TEXT(pieces == reference[i],
                           (where + " split at " + std::to_string(at) + "\n" + pieces).c_str());
            }
        }
    }
}

TEST(Paradigms, AFileThatHasShrunkCutsTheConnection) {
    for (const Paradigm paradigm : kAllParadigms) {
        start(paradigm);
        const std::string heard = talk(get("/shrunk") + get("/hello"));
        STRCMP_CONTAINS("Content-Length: 600000", heard.c_str());
        CHECK(heard.size() < 301'000);
    }
}

TEST(Paradigms, KeepConnectionsAndWaitForBodiesAfterContinue) {
    for (const Paradigm paradigm : kAllParadigms) {
        start(paradigm);
        BlockingSocket one = client();
        for (int i = 0; i < 3; ++i) {
            CHECK(one.send_all(get("/hello"), 10s));
            STRCMP_CONTAINS("200 OK", hear_until(one, "hello\n").c_str());
        }
        CHECK(one.send_all(
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nExpect: 100-continue\r\n\r\n", 10s));
        CHECK_EQUAL(std::string("HTTP/1.1 100 Continue\r\n\r\n"), hear_until(one, "\r\n\r\n"));
        CHECK(one.send_all("abc", 10s));
        CHECK(one.send_all("def", 10s));
        STRCMP_CONTAINS("200 OK", hear_until(one, "abcdef").c_str());
    }
}

TEST(Paradigms, ADeferredResponseHoldsUpNobodyElse) {
    for (const Paradigm paradigm : kAllParadigms) {
        answers.may_answer.reset();
        start(paradigm);
        BlockingSocket waiting = client();
        CHECK(waiting.send_all(get("/hello") + get("/deferred?x"), 10s));
        STRCMP_CONTAINS("hello\n", talk(get("/hello")).c_str());
        answers.may_answer.set();
        STRCMP_CONTAINS("X-Before: kept\r\n", hear_until(waiting, "late x\n").c_str());
    }
}

TEST(Paradigms, ADeferredResponseMayOutliveItsConnectionAndTheServer) {
    options.drain = 10ms;
    for (const Paradigm paradigm : kAllParadigms) {
        answers.may_answer.reset();
        const int before = answers.answered;
        start(paradigm);
        {
            BlockingSocket gone = client();
            CHECK(gone.send_all(get("/deferred?x"), 10s));
            STRCMP_CONTAINS("hello\n", talk(get("/hello")).c_str());
        }
        BlockingSocket cut = client();
        CHECK(cut.send_all(get("/deferred?y"), 10s));
        STRCMP_CONTAINS("hello\n", talk(get("/hello")).c_str());
        server.reset();
        answers.may_answer.set();
        while (answers.answered < before + 2) std::this_thread::yield();
    }
}

TEST(Paradigms, SlowHeadsAndBodiesAre408AndIdleConnectionsEndWithoutAWord) {
    options.timeouts = {.head = 60ms, .io = 60ms, .idle = 90ms, .linger = 20ms};
    for (const Paradigm paradigm : kAllParadigms) {
        start(paradigm);
        BlockingSocket head = client(), body = client(), idle = client(), used = client();
        CHECK(head.send_all("GET /hello HTT", 10s));
        CHECK(body.send_all("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc", 10s));
        CHECK(used.send_all(get("/hello"), 10s));
        STRCMP_CONTAINS("HTTP/1.1 408 ", hear_all(head).c_str());
        STRCMP_CONTAINS("HTTP/1.1 408 ", hear_all(body).c_str());
        CHECK_EQUAL(std::string(), hear_all(idle));
        CHECK(hear_all(used).ends_with("hello\n"));
    }
}

TEST(Paradigms, AClientThatReadsNothingIsCut) {
    options.timeouts.io = 50ms;
    for (const Paradigm paradigm : kAllParadigms) {
        make(paradigm).get("/huge", [](Request&, Response& r) { r.text(std::string(30'000'000, 'x')); });
        server->start().value();
        BlockingSocket silent = client();
        CHECK(silent.send_all(get("/huge"), 10s));
        char byte;
        CHECK(silent.recv({&byte, 1}, 10s));
        // It goes while nobody reads: then stopping has nothing to wait for.
        server->stop();
        server->join();
        CHECK(hear_all(silent).size() < 30'000'000);
    }
}

TEST(Paradigms, StoppingFinishesRequestsInFlightAndClosesIdleConnections) {
    for (const Paradigm paradigm : kAllParadigms) {
        answers.may_answer.reset();
        start(paradigm);
        BlockingSocket busy = client(), idle = client(), fresh = client();
        CHECK(busy.send_all(get("/deferred?z"), 10s));
        CHECK(idle.send_all(get("/hello"), 10s));
        (void)hear_until(idle, "hello\n");
        (void)talk(get("/hello"));  // so that those before it are known
        const nutils::SockAddr address = server->addresses().at(0);
        server->stop();
        CHECK_EQUAL(std::string(), hear_all(idle));
        CHECK_EQUAL(std::string(), hear_all(fresh));
        CHECK_FALSE(BlockingSocket::connect(address, 10s).ok());
        answers.may_answer.set();
        const std::string heard = hear_all(busy);
        STRCMP_CONTAINS("late z\n", heard.c_str());
        STRCMP_CONTAINS("Connection: close\r\n", heard.c_str());
        server->join();
    }
}

TEST(Paradigms, StoppingCutsWhatTakesTooLong) {
    options.drain = 30ms;
    for (const Paradigm paradigm : kAllParadigms) {
        answers.may_answer.reset();
        start(paradigm);
        BlockingSocket head = client(), deferred = client();
        CHECK(head.send_all("GET /hello HTT", 10s));
        CHECK(deferred.send_all(get("/deferred?z"), 10s));
        (void)talk(get("/hello"));
        server->stop();
        server->join();  // returns although both would wait for ever
        CHECK(hear_all(head).find("200 OK") == std::string::npos);
        answers.may_answer.set();
    }
}

TEST(Paradigms, StoppingAThousandIdleConnectionsIsQuick) {
    const int many = test_support::kTsan ? 100 : 400;  // descriptors: both ends are ours
    for (const Paradigm paradigm : kAllParadigms) {
        start(paradigm);
        std::vector<BlockingSocket> clients;
        for (int i = 0; i < many; ++i) {
            clients.push_back(client());
            CHECK(clients.back().send_all(get("/hello"), 10s));
            (void)hear_until(clients.back(), "hello\n");
        }
        server->stop();
        server->join();
        for (BlockingSocket& each : clients) CHECK_EQUAL(std::string(), hear_all(each));
    }
}

TEST(Paradigms, ABlockingServletIsRefusedUnderEventWithAClearMessage) {
    for (const Paradigm paradigm : kAllParadigms) {
        make(paradigm).get("/waits", [](Request&, Response&) {}, {.blocking = true});
        const cutils::Result<void> started = server->start();
        CHECK_EQUAL(paradigm != Paradigm::event, started.ok());
        if (started) continue;
        CHECK(started.error() == std::errc::not_supported);
        STRCMP_CONTAINS("\"/waits\"", started.error().message().c_str());
        STRCMP_CONTAINS("Blocking::offload", started.error().message().c_str());
    }
}

TEST(Paradigms, AnOffloadedServletDoesNotHoldUpTheLoop) {
    for (const Paradigm paradigm : kAllParadigms) {
        evcorothread::CrossEvent begun, go_on;
        make(paradigm).get("/blocks",
                           [&](Request&, Response& r) {
                               begun.set();
                               (void)go_on.wait(20s);
                               r.text("done\n");
                           },
                           {.blocking = Blocking::offload});
        server->start().value();
        BlockingSocket blocked = client();
        CHECK(blocked.send_all(get("/blocks"), 10s));
        CHECK_FALSE(begun.wait(20s));
        STRCMP_CONTAINS("hello\n", talk(get("/hello")).c_str());
        go_on.set();
        STRCMP_CONTAINS("done\n", hear_until(blocked, "done\n").c_str());
        server.reset();
    }
}

TEST(Paradigms, AnOffloadedServletMayDefer) {
    for (const Paradigm paradigm : kAllParadigms) {
        make(paradigm).metrics_page("/metrics");
        server->get("/both",
                    [&](Request& q, Response& r) {
                        Deferred answer = r.defer();
                        if (q.query() == "drop") return;
                        if (q.query() == "throw") throw std::runtime_error("oops");
                        if (q.query() == "later")
                            return answers.later(answer, [](Response& late) { late.text("later\n"); });
                        answer.response().text("now\n");
                        answer.complete();
                    },
                    {.blocking = Blocking::offload});
        server->start().value();
        STRCMP_CONTAINS("now\n", talk(get("/both")).c_str());
        STRCMP_CONTAINS(" 500 ", talk(get("/both?drop")).c_str());
        STRCMP_CONTAINS(" 500 ", talk(get("/both?throw")).c_str());
        UNSIGNED_LONGS_EQUAL(1, server->metrics().exceptions);
        answers.may_answer.set();
        STRCMP_CONTAINS("later\n", talk(get("/both?later")).c_str());
        server.reset();
    }
}

TEST(Paradigms, AnOffloadedServletThatIsLateIsLateEverywhere) {
    for (const Paradigm paradigm : kAllParadigms) {
        make(paradigm).get("/late",
                           [&](Request& q, Response& r) {
                               while (!q.deadline().passed(cutils::monotonic_now()))
                                   std::this_thread::sleep_for(1ms);
                               r.text("too late\n");
                           },
                           {.blocking = Blocking::offload, .deadline = 5ms});
        server->start().value();
        STRCMP_CONTAINS("HTTP/1.1 503 ", talk(get("/late")).c_str());
        server.reset();
    }
}

TEST(Paradigms, WhatAFilterAnswersInsteadHasNothingOfWhatTheServletWrites) {
    class Instead final : public Filter {
        void on_response(const Request& request, Response& response) override {
            ++seen;
            if (request.query() == "text") response.text("instead\n");
            if (request.query() == "error") response.error(Status::bad_gateway);
            if (request.query() == "throw") throw std::runtime_error("oops");
        }

      public:
        std::atomic<int> seen{0};
    };
    for (const Paradigm paradigm : kAllParadigms) {
        auto filter = std::make_unique<Instead>();
        Instead& instead = *filter;
        std::error_code told;
        make(paradigm).add_filter(std::move(filter));
        server->get("/write", [&](Request&, Response& r) {
            for (int i = 0; i < 3; ++i) told = r.write("secret\n", 10s).error;
            if (!told) told = r.flush(10s);
        });
        server->start().value();
        struct Case {
            const char* how;
            const char* status;
            const char* body;
        };
        for (const Case& c :
             {Case{"text", " 200 ", "instead\n"}, {"error", " 502 ", "502"}, {"throw", " 500 ", "500"}}) {
            instead.seen = 0;
            const std::string heard = talk(get("/write?" + std::string(c.how)) + get("/write?plain"));
            STRCMP_CONTAINS(c.status, heard.c_str());
            const std::size_t second = heard.find("HTTP/1.1", 9);
            CHECK(second != std::string::npos);  // the connection goes on
            STRCMP_CONTAINS(c.body, heard.substr(0, second).c_str());
            CHECK(heard.find("secret") > second);
            LONGS_EQUAL(2, instead.seen);  // once each
            CHECK_FALSE(told);             // of the second
        }
        server.reset();
    }
}

TEST(Paradigms, TheServersEndWaitsForAnOffloadedServlet) {
    for (const Paradigm paradigm : kAllParadigms) {
        evcorothread::CrossEvent begun;
        std::atomic<bool> ended{false};
        make(paradigm).get("/blocks",
                           [&](Request& q, Response& r) {
                               begun.set();
                               std::this_thread::sleep_for(30ms);
                               r.text(q.path());  // both are still there
                               ended = true;
                           },
                           {.blocking = Blocking::offload});
        server->start().value();
        BlockingSocket blocked = client();
        CHECK(blocked.send_all(get("/blocks"), 10s));
        CHECK_FALSE(begun.wait(20s));
        server.reset();
        CHECK(ended);
    }
}

TEST(Paradigms, OnlyTheCoroutineParadigmTakesStacks) {
    for (const Paradigm paradigm : kAllParadigms) {
        corothread::StackPool stacks({.count = 4, .pages = 16});
        evcorothread::EvLoop loop(stacks);
        std::size_t in_use = 99;
        make(paradigm).get("/stacks", [&](Request&, Response& r) {
            in_use = stacks.in_use();
            r.text("seen\n");
        });
        server->attach(loop).value();
        std::string heard;
        std::thread asker([&] {
            heard = talk(get("/stacks") + get("/hello"));
            server->stop();
        });
        loop.run();
        asker.join();
        STRCMP_CONTAINS("hello\n", heard.c_str());
        LONGS_EQUAL(paradigm == Paradigm::coroutine ? 1 : 0, in_use);
        server.reset();
    }
}

TEST(Paradigms, WithMoreRequestsThanThreadsTheyWaitTheirTurn) {
    options.threads = 2;
    std::atomic<int> now{0}, most{0}, served{0};
    options.paradigm = Paradigm::thread;
    server = std::make_unique<Server>(options);
    server->get("/work", [&](Request&, Response& r) {
        const int busy = ++now;
        int seen = most;
        while (busy > seen && !most.compare_exchange_weak(seen, busy)) {
        }
        std::this_thread::sleep_for(2ms);
        --now;
        r.text("done\n");
    });
    server->start().value();
    std::vector<std::thread> threads;
    for (int i = 0; i < 10; ++i)
        threads.emplace_back([&] {
            if (talk(get("/work")).ends_with("done\n")) ++served;
        });
    for (std::thread& thread : threads) thread.join();
    LONGS_EQUAL(10, served);
    CHECK(most >= 1 && most <= 2);
}

TEST(Paradigms, IdleConnectionsHoldNoThread) {
    options.threads = 2;
    options.paradigm = Paradigm::thread;
    server = std::make_unique<Server>(options);
    server->get("/hello", [](Request&, Response& r) { r.text("hello\n"); });
    server->start().value();
    std::vector<BlockingSocket> clients;
    for (int i = 0; i < 20; ++i) clients.push_back(client());
    for (int round = 0; round < 3; ++round)
        for (BlockingSocket& each : clients) {
            CHECK(each.send_all(get("/hello"), 10s));
            STRCMP_CONTAINS("200 OK", hear_until(each, "hello\n").c_str());
        }
}

TEST(Paradigms, MoreConnectionsThanAllowedWaitToBeAccepted) {
    options.max_connections = 3;
    for (const Paradigm paradigm : kAllParadigms) {
        start(paradigm);
        std::vector<BlockingSocket> clients;
        for (int i = 0; i < 4; ++i) clients.push_back(client());
        for (int i = 0; i < 3; ++i) {
            CHECK(clients[static_cast<std::size_t>(i)].send_all(get("/hello"), 10s));
            (void)hear_until(clients[static_cast<std::size_t>(i)], "hello\n");
        }
        CHECK(clients[3].send_all(get("/hello"), 10s));
        char byte;
        CHECK(clients[3].recv({&byte, 1}, 20ms).timed_out());
        clients.erase(clients.begin());
        STRCMP_CONTAINS("200 OK", hear_until(clients[2], "hello\n").c_str());
    }
}

TEST(Paradigms, ServeOnSeveralLoops) {
    answers.may_answer.set();
    options.workers = 2;
    for (const Paradigm paradigm : kAllParadigms) {
        start(paradigm);
        for (int i = 0; i < 4; ++i)
            STRCMP_CONTAINS("hello\n",
                            talk(get("/deferred?q") + post("/blocking", "b") + get("/hello")).c_str());
    }
}

TEST(Paradigms, LogTheirRequests) {
    for (const Paradigm paradigm : kAllParadigms) {
        options.access_log = folder->path() + "/" + std::string(to_string(paradigm)) + ".log";
        start(paradigm);
        for (int i = 0; i < 3; ++i) (void)talk(get("/hello") + get("/hello"));
        server.reset();
        std::ifstream file(options.access_log);
        const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
        int lines = 0;
        for (std::size_t at = 0; (at = text.find("\"GET /hello HTTP/1.1\" 200 6", at)) != std::string::npos;
             ++at)
            ++lines;
        LONGS_EQUAL(6, lines);
    }
}

TEST(Paradigms, AThousandStartsAndStopsLeaveNothingBehind) {
    const int rounds = test_support::kTsan ? 50 : 1000;
    for (const Paradigm paradigm : kAllParadigms) {
        for (int round = 0; round < rounds; ++round) {
            Server one({.listen = {"127.0.0.1:0"}, .paradigm = paradigm, .max_active = 2, .threads = 2});
            one.get("/hello", [](Request&, Response& r) { r.text("hello\n"); });
            one.start().value();
            if (round % 5 == 0) {
                auto socket = BlockingSocket::connect(one.addresses()[0], 10s).value();
                CHECK(socket.send_all(get("/hello"), 10s));
                if (round % 10 == 0) (void)hear_until(socket, "hello\n");
            }
            if (round % 2 == 0) one.stop();
        }
    }
}

TEST(Paradigms, HaveNames) {
    for (const Paradigm paradigm : kAllParadigms) CHECK(parse_paradigm(to_string(paradigm)) == paradigm);
    CHECK_FALSE(parse_paradigm("fiber").has_value());
}

// Half a request waits like an idle connection does: without a thread or a stack.
TEST(Paradigms, ManyClientsThatDribbleTheirHeadsKeepNobodyFromBeingServed) {
    for (const Paradigm paradigm : kAllParadigms) {
        start(paradigm);  // 20 stacks, 20 threads
        std::vector<BlockingSocket> dribbling;
        for (int i = 0; i < 100; ++i) {
            dribbling.push_back(client());
            CHECK(dribbling.back().send_all("GET /hello HT", 10s));
        }
        for (BlockingSocket& one : dribbling) CHECK(one.send_all("TP/1.1\r\nHo", 10s));
        CHECK(!talk(get("/hello")).empty());
        for (BlockingSocket& one : dribbling) CHECK(one.send_all("st: a\r\n\r\n", 10s));
        for (BlockingSocket& one : dribbling) STRCMP_CONTAINS("hello\n", hear_until(one, "hello\n").c_str());
    }
}

TEST(Paradigms, ManyClientsThatDribbleTheirBodiesKeepNobodyFromBeingServed) {
    for (const Paradigm paradigm : kAllParadigms) {
        start(paradigm);
        std::vector<BlockingSocket> dribbling;
        const std::string request = post("/echo", std::string(50, 'x'));
        for (int i = 0; i < 100; ++i) {
            dribbling.push_back(client());
            CHECK(dribbling.back().send_all(request.substr(0, request.size() - 20), 10s));
        }
        CHECK(!talk(get("/hello")).empty());
        for (BlockingSocket& one : dribbling) CHECK(one.send_all(request.substr(request.size() - 20), 10s));
        for (BlockingSocket& one : dribbling) STRCMP_CONTAINS("xxx", hear_until(one, "xxxxx").c_str());
    }
}

TEST(Paradigms, ABodyThatIsTooSlowInTheLongRunIs408) {
    options.timeouts.io = 60ms;
    options.limits.body_rate = 1'000'000;
    for (const Paradigm paradigm : kAllParadigms) {
        start(paradigm);
        BlockingSocket slow = client();
        CHECK(slow.send_all("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n", 10s));
        std::string heard;
        char buffer[1000];
        for (int i = 0; i < 900 && heard.empty(); ++i) {  // progress, but little
            (void)slow.send_all("x", 10s);
            const auto got = slow.recv(buffer, 10ms);
            if (!got && !got.timed_out()) break;
            heard.append(buffer, got.bytes);
        }
        STRCMP_CONTAINS("408 Request Timeout", heard.c_str());
    }
}

TEST(Paradigms, ACountOfRequestsIsOfTheConnectionHoweverOftenItWasIdle) {
    options.limits.requests = 3;
    for (const Paradigm paradigm : kAllParadigms) {
        start(paradigm);
        BlockingSocket c = client();
        for (int i = 0; i < 3; ++i) {
            CHECK(c.send_all(get("/hello"), 10s));
            const std::string heard = hear_until(c, "hello\n");
            CHECK_EQUAL(i == 2, heard.find("Connection: close") != std::string::npos);
        }
        CHECK_EQUAL("", hear_all(c));
    }
}
