// What the access log says of how much was sent.
#include <sys/socket.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <vector>

#include "test/webby/started_server.h"
#include "test/webby/temp_folder.h"
#include "webby/body_source.h"
#include "webby/compression.h"
#include "webby/content_coding.h"
#include "webby/deferred.h"
#include "webby/response_stream.h"

#include "test/support/harness.h"

using namespace webby_test;

namespace {

constexpr std::size_t kMuch = 20'000'000;

class Bytes final : public BodySource {
  public:
    explicit Bytes(std::size_t size) : left_(size) {}
    nutils::IoResult read(std::span<char> buffer) override {
        if (left_ == 0) return {0, nutils::NetError::eof};
        const std::size_t size = std::min(left_, buffer.size());
        std::fill_n(buffer.begin(), size, 'b');
        left_ -= size;
        return {size, {}};
    }

  private:
    std::size_t left_;
};

// Gives a piece, and says that there is nothing more now when there is.
class Fits final : public BodySource {
  public:
    nutils::IoResult read(std::span<char> buffer) override {
        if (sizes_.empty()) return {0, nutils::NetError::eof};
        const std::size_t size = std::min(sizes_.back(), buffer.size());
        std::fill_n(buffer.begin(), size, 'f');
        if ((sizes_.back() -= size) > 0) return {size, {}};
        sizes_.pop_back();
        return {size, nutils::NetError::would_block};
    }
    std::error_code wait(cutils::Deadline) override { return {}; }
    bool tell(evcorothread::EvLoop&, AnswerWaiter&) override { return false; }

  private:
    std::vector<std::size_t> sizes_ = {3, 7, 40'000, 10'000};
};

class AccessBytesFixture : public StartedServerFixture {
  public:
    void setup() override {
        StartedServerFixture::setup();
        folder.emplace();
        folder->write("file", std::string(50'000, 'f'));
    }
    void teardown() override {
        server.reset();
        folder.reset();
        StartedServerFixture::teardown();
    }
    void start(Paradigm paradigm, AccessLogFormat format = AccessLogFormat::common) {
        server.reset();
        path = folder->path() + "/log" + std::to_string(++logs);
        options.access_log = path;
        options.access_log_format = format;
        make(paradigm);
        server->get("/small", [](Request&, Response& r) { r.text("small"); });
        server->get("/text", [](Request&, Response& r) { r.text(std::string(50'000, 't')); });
        server->get("/much", [](Request&, Response& r) { r.text(std::string(kMuch, 't')); });
        server->get("/none", [](Request&, Response& r) { r.status(Status::no_content); });
        server->get("/source", [](Request&, Response& r) { r.source(std::make_unique<Bytes>(70'000)); });
        server->get("/short", [](Request&, Response& r) { r.source(std::make_unique<Bytes>(7)); });
        server->get("/sized",
                    [](Request&, Response& r) { r.source(std::make_unique<Bytes>(70'000), 70'000); });
        server->get("/broken", [](Request&, Response& r) { r.source(std::make_unique<Bytes>(100), 200); });
        server->get("/endless", [](Request&, Response& r) { r.source(std::make_unique<Bytes>(kMuch)); });
        server->get("/stream", [](Request&, Response& r) {
            ResponseStream stream = r.stream();
            stream.write(std::string(1000, 's'));
        });
        server->get("/fits", [](Request&, Response& r) { r.source(std::make_unique<Fits>()); });
        server->get("/breaks", [](Request&, Response& r) {
            r.status(Status::created);
            (void)r.write("written", 10s);
            throw std::runtime_error("that was all");
        });
        server->get("/later", [this](Request&, Response& r) {
            answer = r.defer();
            asked.release();
        });
        server->get("/written", [](Request&, Response& r) {
            for (int i = 0; i < 10; ++i) (void)r.write(std::string(5000, 'w'), 10s);
        });
        server->files("/files", folder->path());
        server->start().value();
    }
    // The lines, when the server has ended.
    std::string lines() {
        server->stop();
        server->join();
        server.reset();
        std::ifstream file(path);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    // Of the line with that in it; -1: there is none.
    static long bytes_of(const std::string& lines, const std::string& target) {
        const std::size_t at = lines.find(target);
        if (at == std::string::npos) return -1;
        const std::size_t begin = lines.find("\" 20", at) + 6;
        return std::stol(lines.substr(begin));
    }

    std::optional<TempFolder> folder;
    Deferred answer;
    std::binary_semaphore asked{0};
    std::string path;
    int logs = 0;
};

}  // namespace

TEST_GROUP_BASE(AccessBytes, AccessBytesFixture){};

TEST(AccessBytes, AreThoseOfTheBodyWhateverItIsMadeOf) {
    for (const Paradigm paradigm : kAllParadigms) {
        start(paradigm);
        for (const char* target : {"/small", "/text", "/none", "/source", "/short", "/sized", "/stream",
                                   "/written", "/files/file"})
            (void)talk(get(target));
        const std::string all_lines = lines();
        CHECK_EQUAL(5, bytes_of(all_lines, "/small "));
        CHECK_EQUAL(50'000, bytes_of(all_lines, "/text "));
        CHECK_EQUAL(0, bytes_of(all_lines, "/none "));
        CHECK_EQUAL(70'000, bytes_of(all_lines, "/source "));
        CHECK_EQUAL(7, bytes_of(all_lines, "/short "));
        CHECK_EQUAL(70'000, bytes_of(all_lines, "/sized "));
        CHECK_EQUAL(1000, bytes_of(all_lines, "/stream "));
        CHECK_EQUAL(50'000, bytes_of(all_lines, "/written "));
        CHECK_EQUAL(50'000, bytes_of(all_lines, "/files/file "));
    }
}

TEST(AccessBytes, AreThoseOfABodyThatComesInFitsAndStarts) {
    for (const Paradigm paradigm : kAllParadigms) {
        start(paradigm);
        (void)talk(get("/fits"));
        CHECK_EQUAL(50'010, bytes_of(lines(), "/fits "));
    }
}

TEST(AccessBytes, AndTheStatusAreThoseOfWhatWentBeforeAnException) {
    for (const Paradigm paradigm : {Paradigm::coroutine, Paradigm::thread}) {
        start(paradigm);
        STRCMP_CONTAINS("HTTP/1.1 201 ", talk(get("/breaks")).c_str());
        STRCMP_CONTAINS("\"GET /breaks HTTP/1.1\" 201 7\n", lines().c_str());
    }
}

TEST(AccessBytes, ComeWithTheAddressOfAClientThatHasResetItsConnection) {
    for (const Paradigm paradigm : kAllParadigms) {
        start(paradigm);
        {
            BlockingSocket socket = client();
            CHECK(socket.send_all(get("/later"), 20s));
            asked.acquire();
            const linger reset{1, 0};
            CHECK_EQUAL(0, ::setsockopt(socket.fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset));
        }
        answer.complete();
        answer = {};
        const std::string all_lines = lines();
        STRCMP_CONTAINS("127.0.0.1 - ", all_lines.c_str());
        STRCMP_CONTAINS("\"GET /later ", all_lines.c_str());
    }
}

TEST(AccessBytes, AreTheSameInAllFormats) {
    for (const Paradigm paradigm : kAllParadigms) {
        start(paradigm, AccessLogFormat::combined);
        (void)talk(get("/source", "Referer: here\r\nUser-Agent: me\r\n"));
        STRCMP_CONTAINS("\"GET /source HTTP/1.1\" 200 70000 \"here\" \"me\"\n", lines().c_str());
        start(paradigm, AccessLogFormat::json);
        (void)talk(get("/source", "Referer: here\r\n", "host.example"));
        const std::string all_lines = lines();
        for (const char* part : {"\"host\":\"host.example\"", "\"target\":\"/source\"", "\"bytes\":70000",
                                 "\"referer\":\"here\"", "\"user_agent\":null"})
            STRCMP_CONTAINS(part, all_lines.c_str());
    }
}

TEST(AccessBytes, AreThoseWithoutChunksAndUntilTheEnd) {
    for (const Paradigm paradigm : kAllParadigms) {
        start(paradigm);
        (void)talk("GET /source HTTP/1.0\r\n\r\n");
        (void)talk("HEAD /source HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        const std::string all_lines = lines();
        CHECK_EQUAL(70'000, bytes_of(all_lines, "GET /source HTTP/1.0"));
        CHECK_EQUAL(0, bytes_of(all_lines, "HEAD /source"));
    }
}

TEST(AccessBytes, AreEachAnswersOwnWhenManyAreAskedForAtOnce) {
    for (const Paradigm paradigm : kAllParadigms) {
        start(paradigm);
        std::string all;
        for (const char* target : {"/short", "/small", "/text", "/source", "/short"})
            all += "GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n";
        (void)talk(all + get("/files/file"));
        const std::string all_lines = lines();
        std::string bytes;
        for (std::size_t at = 0; (at = all_lines.find("\" 200 ", at)) != std::string::npos;) {
            at += 6;
            bytes += all_lines.substr(at, all_lines.find('\n', at) - at) + " ";
        }
        CHECK_EQUAL(std::string("7 5 50000 70000 7 50000 "), bytes);
    }
}

TEST(AccessBytes, OfABodyThatIsCodedAreTheCodedOnes) {
    for (const Paradigm paradigm : kAllParadigms) {
        start(paradigm);
        server->stop();
        server->join();
        server.reset();
        make(paradigm).add_filter(std::make_unique<Compression>());
        server->get("/page", [](Request&, Response& r) {
            r.source(std::make_unique<Bytes>(1'000'000));
            r.add_header("Content-Type", "text/html");
        });
        server->start().value();
        (void)talk("GET /page HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n");
        const std::string plain = talk("GET /page HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n");
        CHECK_EQUAL(static_cast<long>(body_of(plain).size()), bytes_of(lines(), "/page "));
    }
}

TEST(AccessBytes, OfWhatBreaksOffAreThoseThatWent) {
    for (const Paradigm paradigm : kAllParadigms) {
        start(paradigm);
        (void)talk(get("/broken"));
        for (const char* target : {"/much", "/endless"}) {
            BlockingSocket socket = client();
            CHECK(socket.send_all(get(target), 20s));
            CHECK(hear_until(socket, "\r\n\r\n").size() > 10);
        }  // gone, with most of it on its way
        const std::string all_lines = lines();
        CHECK_EQUAL(100, bytes_of(all_lines, "/broken "));
        for (const char* target : {"/much ", "/endless "}) {
            const long bytes = bytes_of(all_lines, target);
            CHECK(bytes > 1000 && bytes < static_cast<long>(kMuch));
        }
    }
}
