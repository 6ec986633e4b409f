// Filters, hosts, deadlines and what is remembered, under every paradigm.
#include <atomic>
#include <cctype>
#include <mutex>
#include <thread>
#include <vector>

#include "evcorothread/ev_thread.h"
#include "test/webby/started_server.h"
#include "test/webby/temp_folder.h"

using namespace webby_test;

namespace {

// Writes down what it is told.
class Diary final : public Filter {
  public:
    Diary(std::string name, std::vector<std::string>& lines, std::mutex& mutex)
        : name_(std::move(name)), lines_(lines), mutex_(mutex) {}
    [[nodiscard]] Wants wants() const override {
        return {.request_data = true, .response_data = true, .close = true};
    }
    bool on_request(Request&, Response&) override { return note("head"), true; }
    bool on_request_data(Request&, Response&, std::string& piece) override {
        return note("data " + piece), true;
    }
    bool on_request_end(Request&, Response&) override { return note("end"), true; }
    void on_response(const Request&, Response&) override { note("answer"); }
    void on_response_data(const Request&, std::string& piece) override { note("answer data " + piece); }
    void on_response_end(const Request&, std::string&) override { note("answer end"); }
    void on_close(const nutils::SockAddr& peer, std::uint64_t requests, StateMap&) override {
        note(std::string("close ") + (peer.is_ip() ? "ip " : "? ") + std::to_string(requests));
    }

  private:
    void note(const std::string& what) {
        const std::lock_guard lock(mutex_);
        lines_.push_back(name_ + " " + what);
    }
    const std::string name_;
    std::vector<std::string>& lines_;
    std::mutex& mutex_;
};

// Makes letters large in both directions, and adds a word.
class Shout final : public Filter {
  public:
    [[nodiscard]] Wants wants() const override { return {.request_data = true, .response_data = true}; }
    bool on_request_data(Request&, Response&, std::string& piece) override { return shout(piece), true; }
    void on_response_data(const Request&, std::string& piece) override { shout(piece); }
    void on_response_end(const Request&, std::string& last) override { last = "!"; }

  private:
    static void shout(std::string& text) {
        for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
};

class Censor final : public Filter {
  public:
    [[nodiscard]] Wants wants() const override { return {.request_data = true}; }
    bool on_request(Request& request, Response& response) override {
        if (request.header("X-Who") != "stranger") return true;
        response.error(Status::unauthorized);
        return false;
    }
    bool on_request_data(Request&, Response& response, std::string& piece) override {
        if (piece.find("bad") == std::string::npos) return true;
        response.error(Status::unprocessable_content);
        return false;
    }
};

// Counts what comes, and tells in the head of the response.
class Measure final : public Filter {
  public:
    [[nodiscard]] Wants wants() const override { return {.request_data = true}; }
    bool on_request(Request&, Response& response) override { return response.add_header("X-Early", "1"); }
    bool on_request_data(Request& request, Response& response, std::string& piece) override {
        const std::size_t bytes = request.state().get<std::size_t>("bytes") += piece.size();
        return response.set_header("X-Bytes", std::to_string(bytes));
    }
    bool on_request_end(Request&, Response& response) override { return response.add_header("X-End", "1"); }
};

struct Visits {
    int count = 0;
};

class PipelineFixture : public StartedServerFixture {
  public:
    std::mutex mutex;
    std::vector<std::string> diary;
    std::string told() {
        const std::lock_guard lock(mutex);
        std::string all;
        for (const std::string& line : diary) all += line + "\n";
        return all;
    }
    static std::string post(std::string_view target, std::string_view body, std::string_view fields = {}) {
        return "POST " + std::string(target) +
               " HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) +
               "\r\n" + std::string(fields) + "\r\n" + std::string(body);
    }
};

}  // namespace

TEST_GROUP_BASE(Pipeline, PipelineFixture){};

TEST(Pipeline, FiltersAreToldOfEverythingInOrder) {
    for (const Paradigm paradigm : kAllParadigms) {
        make(paradigm).post("/", [](Request& q, Response& r) { r.text(q.body()); });
        diary.clear();
        server->add_filter(std::make_unique<Diary>("a", diary, mutex));
        server->add_filter(std::make_unique<Diary>("b", diary, mutex));
        server->start().value();
        CHECK_EQUAL("xyz", body_of(talk(post("/", "xyz"))));
        CHECK(soon([this] { return told().find("b close") != std::string::npos; }));
        CHECK_EQUAL(
            "a head\nb head\na data xyz\nb data xyz\na end\nb end\nb answer\na answer\nb answer data xyz\n"
            "a answer data xyz\nb answer end\na answer end\na close ip 1\nb close ip 1\n",
            told());
    }
}

TEST(Pipeline, FiltersSeeBodiesThatAServletReadsAndWritesItself) {
    for (const Paradigm paradigm : kAllParadigms) {
        server.reset();
        diary.clear();
        make(paradigm).post("/",
                            [](Request& q, Response& r) {
                                char buffer[100];
                                while (const auto got = q.read_body(buffer, 10s))
                                    (void)r.write({buffer, got.bytes}, 10s);
                            },
                            {.stream_body = true});
        server->add_filter(std::make_unique<Shout>());
        server->start().value();
        const std::string heard = talk(post("/", "xyz"));
        STRCMP_CONTAINS("XYZ", heard.c_str());
        STRCMP_CONTAINS("!", body_of(heard).c_str());
    }
}

TEST(Pipeline, FiltersChangeTextsFilesAndSources) {
    TempFolder folder;
    folder.write("a.txt", std::string(40'000, 'f'));
    for (const Paradigm paradigm : kAllParadigms) {
        make(paradigm).get("/text", [](Request&, Response& r) { r.text("abc"); });
        server->post("/", [](Request& q, Response& r) { r.text(q.body()); });
        server->files("/files", folder.path());
        server->add_filter(std::make_unique<Shout>());
        server->start().value();
        const std::string text = talk(get("/text"));
        STRCMP_CONTAINS("Content-Length: 4\r\n", text.c_str());
        CHECK_EQUAL("ABC!", body_of(text));
        CHECK_EQUAL("XYZ!", body_of(talk(post("/", "xyz"))));
        const std::string file = talk("GET /files/a.txt HTTP/1.0\r\n\r\n");
        CHECK(body_of(file) == std::string(40'000, 'F') + "!");
        CHECK_EQUAL("", body_of(talk("HEAD /text HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")));
    }
}

TEST(Pipeline, AFilterRefusesARequestBeforeItsBodyHasCome) {
    for (const Paradigm paradigm : kAllParadigms) {
        make(paradigm).post("/", [](Request&, Response& r) { r.text("served"); });
        server->add_filter(std::make_unique<Censor>());
        server->start().value();
        BlockingSocket c = client();
        CHECK(
            c.send_all("POST / HTTP/1.1\r\nHost: a\r\nX-Who: stranger\r\nExpect: 100-continue\r\n"
                       "Content-Length: 100000\r\n\r\n",
                       10s));
        STRCMP_CONTAINS("HTTP/1.1 401 ", hear_until(c, "\r\n\r\n").c_str());
    }
}

TEST(Pipeline, AFilterAnswersInTheMiddleOfABody) {
    for (const Paradigm paradigm : kAllParadigms) {
        make(paradigm).post("/", [](Request&, Response& r) { r.text("served"); });
        server->post("/stream",
                     [](Request& q, Response& r) {
                         char buffer[100];
                         nutils::IoResult got;
                         while ((got = q.read_body(buffer, 10s))) {
                         }
                         r.text("served, whatever came");
                     },
                     {.stream_body = true});
        server->add_filter(std::make_unique<Censor>());
        server->start().value();
        for (const char* const target : {"/", "/stream"}) {
            STRCMP_CONTAINS("HTTP/1.1 422 ", talk(post(target, "a bad word")).c_str());
            STRCMP_CONTAINS("served", talk(post(target, "a good word")).c_str());
        }
    }
}

TEST(Pipeline, WhatAFilterAddsWhileTheBodyComesIsInTheHead) {
    for (const Paradigm paradigm : kAllParadigms) {
        make(paradigm).post("/", [](Request&, Response& r) { r.text("served"); });
        server->post("/stream",
                     [](Request& q, Response& r) {
                         char buffer[2];
                         while (q.read_body(buffer, 10s)) {
                         }
                         r.text("served");
                     },
                     {.stream_body = true});
        server->add_filter(std::make_unique<Measure>());
        server->add_filter(std::make_unique<Censor>());
        server->start().value();
        for (const char* const target : {"/", "/stream"}) {
            const std::string served = talk(post(target, "hello"));
            for (const char* const field : {"X-Early: 1\r\n", "X-Bytes: 5\r\n", "X-End: 1\r\n"})
                STRCMP_CONTAINS(field, served.c_str());
            const std::string refused = talk(post(target, "bad"));
            for (const char* const field : {" 422 ", "X-Early: 1\r\n", "X-Bytes: 3\r\n"})
                STRCMP_CONTAINS(field, refused.c_str());
        }
    }
}

TEST(Pipeline, HostsHaveTheirOwnRoutesFiltersAndFiles) {
    TempFolder folder;
    folder.write("index.html", "docs");
    for (const Paradigm paradigm : kAllParadigms) {
        make(paradigm).get("/", [](Request&, Response& r) { r.text("default"); });
        diary.clear();  // the last server, which wrote it, has gone
        VirtualHost one = server->host("one.example");
        one.get("/", [](Request&, Response& r) { r.text("one"); });
        one.add_filter(std::make_unique<Diary>("one", diary, mutex));
        server->host("one.example:8080").get("/", [](Request&, Response& r) { r.text("one at 8080"); });
        server->host("*.example").get("/", [](Request&, Response& r) { r.text("any"); });
        server->host("docs.example").files("/", folder.path());
        server->start().value();
        CHECK_EQUAL("default", body_of(talk(get("/"))));
        CHECK(told().find("head") == std::string::npos);
        CHECK_EQUAL("one", body_of(talk(get("/", "", "ONE.example."))));
        STRCMP_CONTAINS("one head", told().c_str());
        CHECK_EQUAL("one", body_of(talk(get("/", "", "one.example:99"))));
        CHECK_EQUAL("one at 8080", body_of(talk(get("/", "", "one.example:8080"))));
        CHECK_EQUAL("any", body_of(talk(get("/", "", "two.example"))));
        CHECK_EQUAL("default", body_of(talk(get("/", "", "example"))));
        CHECK_EQUAL("docs", body_of(talk(get("/", "", "docs.example"))));
        CHECK_EQUAL(
            "one", body_of(talk("GET http://one.example/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")));
    }
}

TEST(Pipeline, StrictHostsRefuseOtherNames) {
    options.strict_hosts = true;
    for (const Paradigm paradigm : kAllParadigms) {
        make(paradigm).get("/", [](Request&, Response& r) { r.text("default"); });
        server->host("[::1]").get("/", [](Request&, Response& r) { r.text("six"); });
        server->start().value();
        STRCMP_CONTAINS("HTTP/1.1 421 ", talk(get("/")).c_str());
        CHECK_EQUAL("six", body_of(talk(get("/", "", "[::1]"))));
        CHECK_EQUAL("six", body_of(talk(get("/", "", "[::1]:80"))));
    }
}

TEST(Pipeline, AHostThatIsWrongOrThereTwiceIsTold) {
    for (const char* const name :
         {"", "a b", "*.", "a/b", "*", "a.*.b", "*.*", "a:0", "a:65536", "a:99999999999"}) {
        (void)make(Paradigm::coroutine).host(name);
        CHECK(!server->start());
    }
    (void)make(Paradigm::coroutine).host("a.example");
    (void)server->host("A.example");
    const auto started = server->start();
    CHECK(!started);
    STRCMP_CONTAINS("A.example", started.error().message().c_str());
}

TEST(Pipeline, ARouteThatTakesTooLongIs503) {
    for (const Paradigm paradigm : {Paradigm::coroutine, Paradigm::thread}) {
        make(paradigm).get("/",
                           [](Request& q, Response& r) {
                               if (evcorothread::this_evthread::in_evthread())
                                   (void)evcorothread::this_evthread::delay(60s);  // ends with the deadline
                               else
                                   std::this_thread::sleep_for(30ms);
                               CHECK(!q.deadline().is_never());
                               r.text("late");
                           },
                           {.deadline = 20ms});
        server->get("/quick", [](Request&, Response& r) { r.text("quick"); }, {.deadline = 10s});
        server->start().value();
        STRCMP_CONTAINS("HTTP/1.1 503 ", talk(get("/")).c_str());
        CHECK_EQUAL("quick", body_of(talk(get("/quick"))));
    }
}

TEST(Pipeline, ADeferredResponseThatTakesTooLongIs503) {
    for (const Paradigm paradigm : kAllParadigms) {
        std::vector<Deferred> kept;
        make(paradigm).get("/",
                           [&](Request&, Response& r) {
                               const std::lock_guard lock(mutex);
                               kept.push_back(r.defer());
                           },
                           {.deadline = 20ms});
        server->start().value();
        STRCMP_CONTAINS("HTTP/1.1 503 ", talk(get("/")).c_str());
        const std::lock_guard lock(mutex);
        CHECK_EQUAL(1, kept.size());
        CHECK(!kept[0].wanted());
        kept[0].complete();
        kept.clear();
    }
}

TEST(Pipeline, WhatIsRememberedBelongsToOneConnection) {
    for (const Paradigm paradigm : kAllParadigms) {
        make(paradigm).get("/", [](Request& q, Response& r) {
            r.text(std::to_string(++q.connection().get<Visits>("key").count) + " " +
                   std::to_string(++q.state().get<Visits>("key").count) + "\n");
        });
        server->start().value();
        BlockingSocket a = client();
        for (const char* const expected : {"1 1\n", "2 1\n", "3 1\n"}) {
            CHECK(a.send_all("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 10s));
            STRCMP_CONTAINS(expected, hear_until(a, " 1\n").c_str());
        }
        CHECK_EQUAL("1 1\n", body_of(talk(get("/"))));
    }
}

TEST(Pipeline, AServletOfEachConnectionGoesWithIt) {
    static std::atomic<int> alive{0};
    class Counter final : public Servlet {
      public:
        Counter() { ++alive; }
        ~Counter() override { --alive; }
        void serve(Request&, Response& r) override { r.text(std::to_string(++count_) + "\n"); }

      private:
        int count_ = 0;
    };
    for (const Paradigm paradigm : kAllParadigms) {
        make(paradigm).add(Method::get, "/",
                           make_servlet_per_connection([] { return std::make_unique<Counter>(); }));
        server->start().value();
        {
            BlockingSocket a = client();
            for (const char* const expected : {"1\n", "2\n"}) {
                CHECK(a.send_all("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 10s));
                STRCMP_CONTAINS(expected, hear_until(a, expected).c_str());
            }
            CHECK_EQUAL("1\n", body_of(talk(get("/"))));
        }
        CHECK(soon([] { return alive == 0; }));
    }
}

TEST(Pipeline, AServletSeesThatItsClientHasGone) {
    for (const Paradigm paradigm : {Paradigm::coroutine, Paradigm::thread}) {
        std::atomic<bool> started{false}, seen{false};
        make(paradigm).get("/", [&](Request& q, Response&) {
            if (q.client_gone()) return;
            started = true;
            for (int i = 0; i < 2000 && !seen; ++i) {
                if (evcorothread::this_evthread::in_evthread())
                    (void)evcorothread::this_evthread::delay(5ms);
                else
                    std::this_thread::sleep_for(5ms);
                seen = q.client_gone();
            }
        });
        server->start().value();
        {
            BlockingSocket c = client();
            CHECK(c.send_all("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 10s));
            CHECK(soon([&] { return started.load(); }));
        }
        CHECK(soon([&] { return seen.load(); }));
        server.reset();  // before what its servlet uses
    }
}

TEST(Pipeline, RequestsHaveNamesOfTheirOwn) {
    make(Paradigm::coroutine).get("/", [](Request& q, Response& r) { r.text(q.id()); });
    server->start().value();
    const std::string a = body_of(talk(get("/"))), b = body_of(talk(get("/")));
    CHECK(a.size() > 9);
    CHECK(a != b);
}
