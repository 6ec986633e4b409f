// Servers on sockets that listen already.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>

#include "nutils/listen_stream.h"
#include "nutils/unique_fd.h"
#include "test/webby/server_fixture.h"
#include "test/webby/started_server.h"
#include "test/webby/temp_folder.h"

#include "test/support/harness.h"

using namespace webby_test;

namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

}  // namespace

TEST_GROUP_BASE(ServerAdopted, ServerFixture) {
    int fd = -1;
    nutils::SockAddr where;
    void listen() {
        nutils::UniqueFd made = nutils::listen_stream(nutils::SockAddr::loopback(0)).value();
        where = nutils::SockAddr::local_of(made.get()).value();
        fd = made.release();
        options.listen = {"fd:" + std::to_string(fd)};
    }
    std::string refusal(const std::string& address) {
        options.listen = {address};
        server.reset();
        const cutils::Result<void> attached = serve().attach(loop);
        return attached ? "<no refusal>" : attached.error().message();
    }
};

TEST(ServerAdopted, ServesThereAndClosesItAtTheEnd) {
    listen();
    STRCMP_EQUAL(ok("hello\n").c_str(), heard_by(get("/hello")).c_str());
    CHECK(server->addresses().at(0) == where);
    CHECK_FALSE(is_open(fd));
}

TEST(ServerAdopted, MoreConnectionsThanAllowedWaitThereToBeAccepted) {
    listen();
    options.max_connections = 2;
    attach();
    std::string third;
    go([&] {
        Client a(loop, address()), b(loop, address()), c(loop, address());
        (void)a.ask(get("/hello"));
        (void)b.ask(get("/hello"));
        c.say(get("/hello"));
        (void)this_evthread::delay(1s);
        third = server->counts().connections == 2 ? "waited; " : "did not wait; ";
        a.reset();
        third += c.hear();
    });
    loop.run();
    STRCMP_EQUAL(("waited; " + ok("hello\n")).c_str(), third.c_str());
}

TEST(ServerAdopted, AnythingButAListenerIsRefusedAndStaysOpen) {
    const nutils::UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const nutils::UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    for (const int other : {file.get(), socket.get()}) {
        const std::string address = "fd:" + std::to_string(other);
        STRCMP_CONTAINS(("address \"" + address + "\": not a stream socket that listens").c_str(),
                        refusal(address).c_str());
        CHECK(is_open(other));
    }
    for (const char* address : {"fd:", "fd:x", "fd:-1", "fd:3x", "fd:99999999999"})
        STRCMP_CONTAINS("not the number of a descriptor", refusal(address).c_str());
    STRCMP_CONTAINS("not a stream socket that listens", refusal("fd:1000000").c_str());
}

TEST(ServerAdopted, WhereAnotherAddressIsWrongItIsClosed) {
    listen();
    options.listen.push_back("nonsense");
    CHECK_FALSE(serve().attach(loop).ok());
    CHECK_FALSE(is_open(fd));
}

// Two owners would close it twice, and the second time it may be somebody else's.
TEST(ServerAdopted, OneSocketIsThereOnce) {
    listen();
    options.listen.push_back("fd:0" + std::to_string(fd));
    const cutils::Result<void> attached = serve().attach(loop);
    CHECK_FALSE(attached.ok());
    STRCMP_CONTAINS((options.listen[1] + "\": it is there twice").c_str(),
                    attached.error().message().c_str());
    CHECK_FALSE(is_open(fd));
}

TEST(ServerAdopted, ASocketFileOfItsIsNotRemoved) {
    TempFolder folder;
    const std::string path = folder.path() + "/s";
    fd = nutils::listen_stream(nutils::SockAddr::unix_path(path).value()).value().release();
    options.listen = {"fd:" + std::to_string(fd)};
    STRCMP_EQUAL(ok("hello\n").c_str(), heard_by(get("/hello")).c_str());
    CHECK(std::filesystem::exists(path));
}

TEST(ServerAdopted, SocketFilesHaveTheServersModeAndGoWithIt) {
    TempFolder folder;
    const std::string path = folder.path() + "/s";
    options.listen = {"unix:" + path};
    options.socket_mode = 0604;
    attach();
    struct stat status = {};
    LONGS_EQUAL(0, ::stat(path.c_str(), &status));
    LONGS_EQUAL(0604, status.st_mode & 0777);
    STRCMP_EQUAL(ok("hello\n").c_str(), heard_by(get("/hello")).c_str());
    CHECK_FALSE(std::filesystem::exists(path));
}

// What is not there yet cannot be counted; and a deferred listener is the server's own.
TEST(ServerAdopted, WhoConnectsAndSaysNothingIsNotThereWhenAcceptingIsDeferred) {
    options.defer_accept = true;
    attach();
    std::string story;
    go([&] {
        Client client(loop, address());
        (void)this_evthread::delay(10ms);
        story = client.connected() && server->counts().connections == 0 ? "connected, not seen; " : "seen; ";
        story += client.ask(get("/hello"));
    });
    loop.run();
    STRCMP_EQUAL(("connected, not seen; " + ok("hello\n")).c_str(), story.c_str());
}

TEST(ServerAdopted, ASocketThatIsPassedIsDeferredToo) {
    listen();
    options.defer_accept = true;
    attach();
    int seconds = 0;
    socklen_t size = sizeof seconds;
    LONGS_EQUAL(0, ::getsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, &size));
    CHECK(seconds > 0);
    STRCMP_EQUAL(ok("hello\n").c_str(), heard_by(get("/hello")).c_str());
}

TEST(ServerAdopted, AUnixSocketDoesWithoutDeferral) {
    TempFolder folder;
    options.listen = {"unix:" + folder.path() + "/s"};
    options.defer_accept = true;
    STRCMP_EQUAL(ok("hello\n").c_str(), heard_by(get("/hello")).c_str());
}

TEST_GROUP_BASE(StartedServerAdopted, StartedServerFixture){};

TEST(StartedServerAdopted, DeferredAcceptingWorksUnderEveryParadigmAndWithWorkers) {
    options.defer_accept = true;
    for (const Paradigm paradigm : kAllParadigms)
        for (const std::size_t workers : {1u, 2u}) {
            options.workers = workers;
            make(paradigm).get("/hello", [](Request&, Response& r) { r.text("hello\n"); });
            server->start().value();
            STRCMP_CONTAINS("\r\n\r\nhello\n", talk(get("/hello")).c_str());
            server->stop();
            server->join();
        }
}

TEST(StartedServerAdopted, WorksUnderEveryParadigmAndWithWorkers) {
    for (const Paradigm paradigm : kAllParadigms)
        for (const std::size_t workers : {1u, 2u}) {
            nutils::UniqueFd made = nutils::listen_stream(nutils::SockAddr::loopback(0)).value();
            options.workers = workers;
            options.listen = {"fd:" + std::to_string(made.release())};
            make(paradigm).get("/hello", [](Request&, Response& r) { r.text("hello\n"); });
            server->start().value();
            STRCMP_CONTAINS("\r\n\r\nhello\n", talk(get("/hello")).c_str());
            server->stop();
            server->join();
        }
}
