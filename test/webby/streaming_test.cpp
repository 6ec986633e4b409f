// Bodies that are written as they come, by servlets or by others, under every paradigm.
#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "evcorothread/cross_event.h"
#include "test/webby/started_server.h"
#include "webby/compression.h"
#include "webby/content_coding.h"
#include "webby/event_hub.h"
#include "webby/response_stream.h"

using namespace webby_test;

namespace {

class StreamingFixture : public StartedServerFixture {
  public:
    std::mutex mutex;
    std::vector<ResponseStream> streams;
    std::atomic<int> written{0};

    void keep(ResponseStream stream) {
        const std::lock_guard lock(mutex);
        streams.push_back(std::move(stream));
    }
    ResponseStream first_stream() {
        CHECK(soon([this] {
            const std::lock_guard lock(mutex);
            return !streams.empty();
        }));
        const std::lock_guard lock(mutex);
        return streams.front();
    }
    // A client that has got "abc" of the first stream when the server is told to stop.
    BlockingSocket stopped_in_the_middle() {
        server->start().value();
        BlockingSocket c = client();
        CHECK(c.send_all("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 10s));
        CHECK(first_stream().write("abc"));
        (void)hear_until(c, "abc\r\n");
        server->stop();
        return c;
    }
    // A client whose request has been answered by defer(); the server has just been started.
    BlockingSocket client_of_deferred(Paradigm paradigm, std::optional<Deferred>& answer) {
        make(paradigm).get("/later", [&](Request&, Response& r) {
            const std::lock_guard lock(mutex);
            answer = r.defer();
        });
        server->start().value();
        BlockingSocket c = client();
        CHECK(c.send_all(get("/later"), 10s));
        CHECK(soon([&] {
            const std::lock_guard lock(mutex);
            return answer.has_value();
        }));
        return c;
    }
    void teardown() override {
        streams.clear();
        StartedServerFixture::teardown();
    }
};

}  // namespace

TEST_GROUP_BASE(Streaming, StreamingFixture){};

TEST(Streaming, WhatIsWrittenComesInChunksOrUntilTheEnd) {
    for (const Paradigm paradigm : {Paradigm::coroutine, Paradigm::thread}) {
        make(paradigm).get("/", [](Request&, Response& r) {
            r.add_header("Content-Type", "text/x");
            CHECK_EQUAL(3, r.write("abc", 10s).bytes);
            CHECK(!r.flush(10s));
            CHECK_EQUAL(2, r.write("de", 10s).bytes);
        });
        server->start().value();
        const std::string chunked = talk(get("/"));
        STRCMP_CONTAINS("Transfer-Encoding: chunked\r\n", chunked.c_str());
        STRCMP_CONTAINS("Content-Type: text/x\r\n", chunked.c_str());
        CHECK_EQUAL("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", body_of(chunked));
        const std::string old = talk("GET / HTTP/1.0\r\n\r\n");
        CHECK(old.find("Transfer-Encoding") == std::string::npos);
        CHECK_EQUAL("abcde", body_of(old));
        CHECK_EQUAL("", body_of(talk("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")));
    }
}

TEST(Streaming, WithoutAnybodyWhoMayWaitWhatIsWrittenIsGathered) {
    make(Paradigm::event).get("/", [](Request&, Response& r) {
        CHECK_EQUAL(3, r.write("abc", 10s).bytes);
        CHECK_EQUAL(2, r.write("de", 10s).bytes);
    });
    server->start().value();
    const std::string heard = talk(get("/"));
    STRCMP_CONTAINS("Content-Length: 5\r\n", heard.c_str());
    CHECK_EQUAL("abcde", body_of(heard));
}

TEST(Streaming, WhatIsWrittenTakesThePlaceOfAnotherBody) {
    for (const Paradigm paradigm : kAllParadigms) {
        make(paradigm).get("/", [](Request&, Response& r) {
            r.text("not this");
            (void)r.write("written", 10s);
            (void)r.write(", twice", 10s);
        });
        server->start().value();
        CHECK_EQUAL("written, twice", body_of(talk("GET / HTTP/1.0\r\n\r\n")));
    }
}

TEST(Streaming, WhatIsTooMuchToBeGatheredIsNoAnswer) {
    make(Paradigm::event).get("/", [](Request&, Response& r) {
        r.add_header("ETag", "\"whole\"");
        const std::string piece(1024 * 1024, 'x');
        nutils::IoResult got;
        for (int i = 0; i < 17; ++i) got = r.write(piece, 10s);
        CHECK(got.error == nutils::NetError::too_long);
        CHECK(r.write("little", 10s).error == nutils::NetError::too_long);
    });
    server->get("/told", [](Request&, Response& r) {
        while (r.write(std::string(4'000'000, 'x'), 10s))
            ;
        r.error(Status::content_too_large);
    });
    server->start().value();
    const std::string heard = talk(get("/"));
    STRCMP_CONTAINS("HTTP/1.1 500 ", heard.c_str());
    CHECK(heard.find("ETag") == std::string::npos);
    CHECK_EQUAL("500 Internal Server Error\n", body_of(heard));
    STRCMP_CONTAINS("HTTP/1.1 413 ", talk(get("/told")).c_str());
}

TEST(Streaming, AConnectionGoesOnAfterAWrittenBody) {
    for (const Paradigm paradigm : kAllParadigms) {
        make(paradigm).get("/", [](Request&, Response& r) { (void)r.write(std::string(100'000, 'x'), 10s); });
        server->get("/hello", [](Request&, Response& r) { r.text("hello\n"); });
        server->start().value();
        const std::string heard = talk("GET / HTTP/1.1\r\nHost: a\r\n\r\n" + get("/hello"));
        STRCMP_CONTAINS("hello\n", heard.c_str());
        CHECK(heard.size() > 100'000);
    }
}

TEST(Streaming, ASlowClientSlowsTheWriterDown) {
    for (const Paradigm paradigm : {Paradigm::coroutine, Paradigm::thread}) {
        written = 0;
        make(paradigm).get("/", [this](Request&, Response& r) {
            for (int i = 0; i < 1000; ++i) {
                if (!r.write(std::string(30'000, 'x'), 10s)) return;
                ++written;
            }
        });
        server->start().value();
        BlockingSocket c = client();
        CHECK(c.send_all(get("/"), 10s));
        int before = -1;
        CHECK(soon([&] { return std::exchange(before, written.load()) == written && written > 0; }));
        CHECK(written < 1000);  // the kernel's buffers are full
        const std::string heard = hear_all(c);
        CHECK_EQUAL(1000, written);
        CHECK(heard.size() > 30'000'000);
        CHECK(heard.ends_with("0\r\n\r\n"));
    }
}

TEST(Streaming, AClientThatTakesNothingEndsTheWriting) {
    for (const Paradigm paradigm : {Paradigm::coroutine, Paradigm::thread}) {
        std::atomic<bool> timed_out{false}, again{false};
        make(paradigm).get("/", [&](Request&, Response& r) {
            nutils::IoResult sent;
            while ((sent = r.write(std::string(30'000, 'x'), 50ms))) {
            }
            again = !r.write("x", 50ms);
            timed_out = sent.timed_out();
        });
        server->start().value();
        BlockingSocket c = client();
        CHECK(c.send_all(get("/"), 10s));
        CHECK(soon([&] { return timed_out.load(); }));
        CHECK(again);
        CHECK(!hear_all(c).ends_with("0\r\n\r\n"));
    }
}

TEST(Streaming, AnExceptionAfterTheHeadCutsTheConnection) {
    for (const Paradigm paradigm : {Paradigm::coroutine, Paradigm::thread}) {
        make(paradigm).get("/", [](Request&, Response& r) {
            (void)r.write("abc", 10s);
            throw std::runtime_error("oops");
        });
        server->start().value();
        const std::string heard = talk("GET / HTTP/1.1\r\nHost: a\r\n\r\n" + get("/"));
        CHECK_EQUAL("3\r\nabc\r\n", body_of(heard));
        STRCMP_CONTAINS("exception: oops [request ", log->text().c_str());
    }
}

TEST(Streaming, AnExceptionIsOneLineThatEndsWithTheRequestsId) {
    make(Paradigm::coroutine).get("/*path", [](Request&, Response&) {
        throw std::runtime_error("first\nerror forged " + std::string(5000, 'x'));
    });
    server->start().value();
    STRCMP_CONTAINS(" 500 ", talk(get("/a%0Aerror%20forged" + std::string(4000, 'y'))).c_str());
    const std::string said = log->text();
    CHECK_EQUAL(said.find('\n'), said.size() - 1);
    STRCMP_CONTAINS("GET /a?error forged", said.c_str());
    STRCMP_CONTAINS("first?error forged", said.c_str());
    STRCMP_CONTAINS(" [request ", said.c_str());
    CHECK(said.ends_with("]\n"));
}

TEST(Streaming, ASourceThatThrowsIsALineWithTheRequestsId) {
    class Throwing final : public BodySource {
        nutils::IoResult read(std::span<char>) override { throw 7; }
    };
    for (const Paradigm paradigm : kAllParadigms) {
        make(paradigm).get("/", [](Request&, Response& r) { r.source(std::make_unique<Throwing>()); });
        server->start().value();
        (void)talk(get("/"));
        server.reset();
        STRCMP_CONTAINS("broke off: its source threw what is not a std::exception [request ",
                        log->text().c_str());
        CHECK(log->text().ends_with("]\n"));
    }
}

TEST(Streaming, ABodyIsReadAndAnsweredAtTheSameTime) {
    for (const Paradigm paradigm : {Paradigm::coroutine, Paradigm::thread}) {
        make(paradigm).post("/echo",
                            [](Request& q, Response& r) {
                                char buffer[1000];
                                nutils::IoResult got;
                                while ((got = q.read_body(buffer, 10s)))
                                    if (!r.write({buffer, got.bytes}, 10s) || r.flush(10s)) return;
                            },
                            {.stream_body = true});
        server->start().value();
        BlockingSocket c = client();
        CHECK(c.send_all(
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nConnection: close\r\n\r\nabc", 10s));
        STRCMP_CONTAINS("3\r\nabc\r\n", hear_until(c, "abc\r\n").c_str());
        CHECK(c.send_all("def", 10s));
        CHECK_EQUAL("3\r\ndef\r\n0\r\n\r\n", hear_all(c));
    }
}

TEST(Streaming, OthersWriteToAStreamWhenTheyLike) {
    for (const Paradigm paradigm : kAllParadigms) {
        streams.clear();
        make(paradigm).get("/", [this](Request&, Response& r) { keep(r.stream()); });
        server->start().value();
        BlockingSocket c = client();
        CHECK(c.send_all(get("/"), 10s));
        STRCMP_CONTAINS("chunked", hear_until(c, "\r\n\r\n").c_str());  // before anything is written
        ResponseStream stream = first_stream();
        streams.clear();
        CHECK(stream.write("one"));
        CHECK_EQUAL("3\r\none\r\n", hear_until(c, "one\r\n"));
        CHECK(stream.write("two"));
        CHECK_EQUAL("3\r\ntwo\r\n", hear_until(c, "two\r\n"));
        CHECK(stream.wanted());
        stream = {};
        CHECK_EQUAL("0\r\n\r\n", hear_all(c));
    }
}

TEST(Streaming, AStreamTakesNoMoreThanItMay) {
    for (const Paradigm paradigm : kAllParadigms) {
        streams.clear();
        make(paradigm).get("/", [this](Request&, Response& r) { keep(r.stream(100'000)); });
        server->start().value();
        BlockingSocket c = client();
        CHECK(c.send_all(get("/"), 10s));
        ResponseStream stream = first_stream();
        const std::string piece(60'000, 'x');
        CHECK(soon([&] { return !stream.write(piece) && stream.waiting() > 40'000; }));  // nobody reads
        CHECK(!stream.write(std::string(100'001, 'x')));
        stream.cut();
        CHECK(!stream.wanted());
        CHECK(!hear_all(c).ends_with("0\r\n\r\n"));
    }
}

TEST(Streaming, AStreamKnowsWhenNobodyListensAnyMore) {
    for (const Paradigm paradigm : kAllParadigms) {
        streams.clear();
        make(paradigm).get("/", [this](Request&, Response& r) { keep(r.stream()); });
        server->start().value();
        {
            BlockingSocket c = client();
            CHECK(c.send_all(get("/"), 10s));
            (void)hear_until(c, "\r\n\r\n");
        }
        ResponseStream stream = first_stream();
        CHECK(soon([&] { return !stream.wanted(); }));
        CHECK(!stream.write("x"));
    }
}

TEST(Streaming, AStreamOutlivesItsServer) {
    options.drain = 30ms;
    for (const Paradigm paradigm : kAllParadigms) {
        streams.clear();
        make(paradigm).get("/", [this](Request&, Response& r) { keep(r.stream()); });
        server->start().value();
        BlockingSocket c = client();
        CHECK(c.send_all(get("/"), 10s));
        ResponseStream stream = first_stream();
        server.reset();
        CHECK(!stream.write("x"));
    }
}

TEST(Streaming, StoppingEndsStreamsOfEvents) {
    for (const Paradigm paradigm : kAllParadigms) {
        streams.clear();
        make(paradigm).get("/", [this](Request&, Response& r) {
            r.add_header("Content-Type", "text/event-stream; charset=utf-8");
            keep(r.stream());
        });
        BlockingSocket c = stopped_in_the_middle();
        CHECK_EQUAL("0\r\n\r\n", hear_all(c));
        server->join();
    }
}

TEST(Streaming, StoppingLetsOtherStreamsFinish) {
    for (const Paradigm paradigm : kAllParadigms) {
        streams.clear();
        make(paradigm).get("/", [this](Request&, Response& r) { keep(r.stream()); });
        BlockingSocket c = stopped_in_the_middle();
        CHECK(first_stream().write("def"));
        CHECK_EQUAL("3\r\ndef\r\n", hear_until(c, "def\r\n"));
        streams.clear();
        CHECK_EQUAL("0\r\n\r\n", hear_all(c));
        server->join();
    }
}

// Half an export must not look like all of it.
TEST(Streaming, OtherStreamsAreCutWhenTheTimeToFinishIsOver) {
    options.drain = 30ms;
    for (const Paradigm paradigm : kAllParadigms) {
        streams.clear();
        make(paradigm).get("/", [this](Request&, Response& r) { keep(r.stream()); });
        BlockingSocket c = stopped_in_the_middle();
        CHECK(!hear_all(c).ends_with("0\r\n\r\n"));
        server->join();
        CHECK(!first_stream().wanted());
    }
}

TEST(Streaming, EventsReachAllWhoListen) {
    for (const Paradigm paradigm : kAllParadigms) {
        EventHub hub({.history = 2});
        make(paradigm).get("/news", [&](Request& q, Response& r) { hub.subscribe(q, r); });
        server->start().value();
        BlockingSocket a = client(), b = client();
        for (BlockingSocket* const c : {&a, &b}) {
            CHECK(c->send_all(get("/news"), 10s));
            const std::string head = hear_until(*c, ":\n\n");
            STRCMP_CONTAINS("Content-Type: text/event-stream\r\n", head.c_str());
            STRCMP_CONTAINS("Cache-Control: no-cache\r\n", head.c_str());
        }
        CHECK_EQUAL(2, hub.publish({.data = "two\nlines", .name = "price", .id = "1"}));
        for (BlockingSocket* const c : {&a, &b})
            STRCMP_CONTAINS("id: 1\nevent: price\ndata: two\ndata: lines\n\n",
                            hear_until(*c, "lines\n\n").c_str());
        CHECK_EQUAL(2, hub.publish({.data = "x", .id = "2"}));
        BlockingSocket late = client();
        CHECK(late.send_all(get("/news", "Last-Event-ID: 1\r\n"), 10s));
        STRCMP_CONTAINS("id: 2\ndata: x\n\n", hear_until(late, "data: x\n\n").c_str());
        CHECK_EQUAL(3, hub.counts().listeners);
        hub.close();
        CHECK(hear_all(late).ends_with("0\r\n\r\n"));
        server.reset();
    }
}

TEST(Streaming, ACompressedStreamComesAsSoonAsItIsThere) {
    if (content_codings().empty()) return;
    for (const Paradigm paradigm : kAllParadigms) {
        streams.clear();
        make(paradigm).get("/", [this](Request&, Response& r) {
            r.add_header("Content-Type", "text/plain");
            keep(r.stream());
        });
        server->add_filter(std::make_unique<Compression>());
        server->start().value();
        BlockingSocket c = client();
        CHECK(c.send_all(get("/", "Accept-Encoding: gzip\r\n"), 10s));
        STRCMP_CONTAINS("Content-Encoding: gzip\r\n", hear_until(c, "\r\n\r\n").c_str());
        for (int i = 0; i < 3; ++i) {
            CHECK(first_stream().write("something new\n"));
            CHECK(hear_until(c, "\r\n").size() > 4);  // a chunk, at once
        }
        streams.clear();
        CHECK(hear_all(c).ends_with("0\r\n\r\n"));
    }
}

TEST(Streaming, WhoHasLeftTakesNobodysPlace) {
    for (const Paradigm paradigm : kAllParadigms) {
        EventHub hub({.most_listeners = 2});
        make(paradigm).get("/news", [&](Request& q, Response& r) { hub.subscribe(q, r); });
        server->start().value();
        for (int i = 0; i < 5; ++i) {
            BlockingSocket a = client(), b = client();
            for (BlockingSocket* const c : {&a, &b}) {
                CHECK(c->send_all(get("/news"), 10s));
                (void)hear_until(*c, ":\n\n");
            }
            STRCMP_CONTAINS("HTTP/1.1 503 ", talk(get("/news")).c_str());
            CHECK(a.shutdown_send().error == std::error_code());
            CHECK(b.shutdown_send().error == std::error_code());
            CHECK(soon([&] { return hub.counts().listeners == 0; }));
        }
        server.reset();
    }
}

TEST(Streaming, AListenerThatIsTooSlowIsDropped) {
    for (const Paradigm paradigm : kAllParadigms) {
        EventHub hub({.most_waiting = 50'000});
        options.drain = 100ms;  // what the kernel has for it, it never takes
        make(paradigm).get("/news", [&](Request& q, Response& r) { hub.subscribe(q, r); });
        server->start().value();
        BlockingSocket slow = client();
        CHECK(slow.send_all(get("/news"), 10s));
        (void)hear_until(slow, ":\n\n");
        const std::string data(20'000, 'x');
        CHECK(soon([&] {
            for (int i = 0; i < 10; ++i) (void)hub.publish({.data = data});
            return hub.counts().dropped == 1;
        }));
        CHECK_EQUAL(0, hub.counts().listeners);
        server.reset();
    }
}

TEST(Streaming, AnEventThatNobodyCouldReadIsNotPublished) {
    CHECK_EQUAL("", to_wire({.data = "x", .name = "a\nb"}));
    CHECK_EQUAL("", to_wire({.data = "x", .id = "a\rb"}));
    CHECK_EQUAL("retry: 500\ndata: \n\n", to_wire({.retry = 500ms}));
    CHECK_EQUAL("data: a\ndata: b\ndata: c\ndata: \n\n", to_wire({.data = "a\rb\r\nc\n"}));
    EventHub hub;
    CHECK_EQUAL(0, hub.publish({.data = "x", .name = "a\nb"}));
    STRCMP_CONTAINS("line break", log->text().c_str());
}

TEST(Streaming, AnEventThatIsLargerThanMayWaitIsNotPublished) {
    for (const Paradigm paradigm : kAllParadigms) {
        EventHub hub({.most_waiting = 1000});
        make(paradigm).get("/news", [&](Request& q, Response& r) { hub.subscribe(q, r); });
        server->start().value();
        BlockingSocket listener = client();
        CHECK(listener.send_all(get("/news"), 10s));
        (void)hear_until(listener, ":\n\n");
        CHECK_EQUAL(0, hub.publish({.data = std::string(1000, 'x')}));
        STRCMP_CONTAINS("is more than may wait", log->text().c_str());
        CHECK_EQUAL(0, hub.counts().dropped);
        CHECK_EQUAL(1, hub.publish({.data = "small"}));
        STRCMP_CONTAINS("data: small\n\n", hear_until(listener, "small\n\n").c_str());
        server.reset();
    }
}

// Not some of it, and then what comes: the gap would never be noticed.
TEST(Streaming, WhoHasMissedMoreThanMayWaitComesBackForTheRest) {
    for (const Paradigm paradigm : kAllParadigms) {
        EventHub hub({.most_waiting = 1000, .history = 100});
        make(paradigm).get("/news", [&](Request& q, Response& r) { hub.subscribe(q, r); });
        server->start().value();
        for (int i = 0; i < 30; ++i)
            CHECK_EQUAL(0, hub.publish({.data = std::string(80, 'x'), .id = std::to_string(i)}));
        std::string last = "0";
        for (int visits = 0; last != "29"; ++visits) {
            CHECK(visits < 5);
            BlockingSocket listener = client();
            CHECK(listener.send_all(get("/news", "Last-Event-ID: " + last + "\r\n"), 10s));
            const std::string next = "id: " + std::to_string(std::stoi(last) + 1) + "\n";
            std::string heard = hear_until(listener, next);
            (void)hub.publish({.data = "not for it"});
            if (hub.counts().listeners > 0) {
                heard += hear_until(listener, "not for it");
                STRCMP_CONTAINS("id: 29\n", heard.c_str());
            } else {
                heard += hear_all(listener);
                CHECK(heard.find("not for it") == std::string::npos);
                CHECK(heard.ends_with("0\r\n\r\n"));
            }
            last = heard.substr(heard.rfind("id: ") + 4);
            last.resize(last.find('\n'));
        }
        server.reset();
    }
}

// --- many who wait, few stacks

TEST(Streaming, ListenersHoldNoStackAndNoThread) {
    for (const Paradigm paradigm : kAllParadigms) {
        options.max_active = options.threads = 3;
        EventHub hub;
        make(paradigm).get("/news", [&](Request& q, Response& r) { hub.subscribe(q, r); });
        server->get("/", [](Request&, Response& r) { r.text("hello"); });
        server->start().value();
        std::vector<BlockingSocket> listeners;
        for (int i = 0; i < 30; ++i) {
            listeners.push_back(client());
            CHECK(listeners.back().send_all(get("/news"), 10s));
            (void)hear_until(listeners.back(), ":\n\n");
        }
        CHECK_EQUAL("hello", body_of(talk(get("/"))));
        for (int round = 0; round < 3; ++round) {
            CHECK_EQUAL(30, hub.publish({.data = "news"}));
            for (BlockingSocket& one : listeners) (void)hear_until(one, "data: news\n\n");
        }
        listeners.erase(listeners.begin() + 10, listeners.end());
        CHECK(soon([&] { return hub.counts().listeners == 10; }));  // the others are seen to have gone
        CHECK_EQUAL("hello", body_of(talk(get("/"))));
        server->stop();
        for (BlockingSocket& one : listeners) CHECK(hear_all(one).ends_with("0\r\n\r\n"));
        server.reset();
    }
}

TEST(Streaming, ResponsesThatAreDeferredHoldNoStackAndNoThread) {
    for (const Paradigm paradigm : kAllParadigms) {
        options.max_active = options.threads = 3;
        std::vector<Deferred> answers;
        make(paradigm).get("/later", [&](Request&, Response& r) {
            const std::lock_guard lock(mutex);
            answers.push_back(r.defer());
        });
        server->get("/", [](Request&, Response& r) { r.text("hello"); });
        server->start().value();
        std::vector<BlockingSocket> clients;
        for (int i = 0; i < 30; ++i) {
            clients.push_back(client());
            CHECK(clients.back().send_all(get("/later"), 10s));
        }
        CHECK(soon([&] {
            const std::lock_guard lock(mutex);
            return answers.size() == 30;
        }));
        CHECK_EQUAL("hello", body_of(talk(get("/"))));
        for (Deferred& answer : answers) {
            answer.response().text("late");
            answer.complete();
        }
        answers.clear();
        for (BlockingSocket& one : clients) CHECK_EQUAL("late", body_of(hear_all(one)));
        server.reset();
    }
}

TEST(Streaming, ADeferredResponseThatIsNotWantedAnyMoreMayBeCompleted) {
    for (const Paradigm paradigm : kAllParadigms) {
        std::optional<Deferred> answer;
        options.drain = 1ms;
        BlockingSocket c = client_of_deferred(paradigm, answer);
        server->stop();
        server->join();
        CHECK_FALSE(answer->wanted());
        answer->complete();
        server.reset();
        answer.reset();
    }
}

TEST(Streaming, WhoOwesADeferredResponseSeesThatTheClientHasGone) {
    for (const Paradigm paradigm : kAllParadigms) {
        std::optional<Deferred> answer;
        BlockingSocket c = client_of_deferred(paradigm, answer);
        CHECK_FALSE(answer->client_gone());
        c.close();
        CHECK(soon([&] { return answer->client_gone(); }));
        answer->complete();
        CHECK_FALSE(answer->client_gone());
        answer.reset();
        server.reset();
    }
}

TEST(Streaming, ADeferredResponseHasUntilItsRoutesDeadline) {
    for (const Paradigm paradigm : kAllParadigms) {
        std::optional<Deferred> answer;
        make(paradigm).get("/later",
                           [&](Request&, Response& r) {
                               const std::lock_guard lock(mutex);
                               answer = r.defer();
                           },
                           {.deadline = 20ms});
        server->start().value();
        STRCMP_CONTAINS("HTTP/1.1 503 ", talk(get("/later")).c_str());
        CHECK_FALSE(answer->wanted());
        answer.reset();
        server.reset();
    }
}

TEST(Streaming, AServletThatKeepsItsThreadForTooLongIsLateAllTheSame) {
    for (const Paradigm paradigm : kAllParadigms) {
        make(paradigm).get("/busy",
                           [](Request&, Response& r) {
                               ::usleep(60'000);
                               r.text("at last");
                           },
                           {.deadline = 30ms});
        server->start().value();
        STRCMP_CONTAINS("HTTP/1.1 503 ", talk(get("/busy")).c_str());
        server.reset();
    }
}

// Whoever made the answer: it is the servlet that is late.
TEST(Streaming, AServletThatTakesTooLongIsLateThoughItsAnswerIsComplete) {
    for (const Paradigm paradigm : kAllParadigms) {
        make(paradigm).get("/late",
                           [&](Request&, Response& r) {
                               Deferred answer = r.defer();
                               answer.response().text("in time");
                               answer.complete();
                               ::usleep(60'000);
                           },
                           {.blocking = Blocking::offload, .deadline = 30ms});
        server->start().value();
        STRCMP_CONTAINS("HTTP/1.1 503 ", talk(get("/late")).c_str());
        server.reset();
    }
}

// Who comes and goes, while others publish: a connection is told of what is new, and ends, at the same time.
TEST(Streaming, ListenersMayLeaveWhileTheyAreToldOfSomething) {
    for (const Paradigm paradigm : kAllParadigms) {
        options.max_active = options.threads = 4;
        EventHub hub;
        make(paradigm).get("/news", [&](Request& q, Response& r) { hub.subscribe(q, r); });
        server->start().value();
        std::atomic<bool> done{false};
        std::thread publisher([&] {
            while (!done) {
                (void)hub.publish({.data = "news"});
                ::usleep(100);
            }
        });
        for (int i = 0; i < 300; ++i) {
            BlockingSocket one = client();
            CHECK(one.send_all(get("/news"), 10s));
            (void)hear_until(one, i % 2 == 0 ? ":\n\n" : "news");
        }
        done = true;
        publisher.join();
        CHECK(soon([&] {
            (void)hub.publish({.data = "news"});
            return hub.counts().listeners == 0;
        }));
        server.reset();
    }
}

TEST(Streaming, AListenerThatLeavesIsNoticedWhileNothingIsSent) {
    for (const Paradigm paradigm : kAllParadigms) {
        options.max_active = options.threads = 1;
        EventHub hub;
        make(paradigm).get("/news", [&](Request& q, Response& r) { hub.subscribe(q, r); });
        server->start().value();
        {
            BlockingSocket one = client();
            CHECK(one.send_all(get("/news"), 10s));
            (void)hear_until(one, ":\n\n");
        }
        CHECK(soon([&] { return hub.counts().listeners == 0; }));
        server.reset();
    }
}

TEST(Streaming, AListenerThatTakesNothingIsCutAfterTheIoTimeout) {
    options.timeouts.io = 300ms;
    for (const Paradigm paradigm : kAllParadigms) {
        streams.clear();
        make(paradigm).get("/", [this](Request&, Response& r) { keep(r.stream()); });
        server->start().value();
        BlockingSocket c = client();
        CHECK(c.send_all(get("/"), 10s));
        ResponseStream stream = first_stream();
        // Little by little: also a listener that the kernel has a lot for, but not all that it may.
        while (stream.write(std::string(8000, 'x')))
            if (!soon([&] { return stream.waiting() == 0 || !stream.wanted(); })) break;
        CHECK(!stream.wanted());
        streams.clear();
    }
}
