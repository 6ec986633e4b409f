#include "nutils/socket_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "nutils/datagram_ops.h"
#include "nutils/listen_stream.h"
#include "nutils/socket_ops.h"
#include "test/support/fault_injection.h"
#include "test/support/net_strings.h"
#include "test/support/socket_pairs.h"
#include "test/support/temp_dir.h"

using namespace nutils;
using namespace test_support;

TEST_GROUP_BASE(SocketFile, Fixture) {
    FaultInjection faults;
    TempDir folder;
    std::string path = folder.file("s");
    SockAddr address = SockAddr::unix_path(path).value();

    [[nodiscard]] bool exists() const {
        struct stat status = {};
        return ::lstat(path.c_str(), &status) == 0;
    }
    [[nodiscard]] int mode() const {
        struct stat status = {};
        ::lstat(path.c_str(), &status);
        return static_cast<int>(status.st_mode & 0777);
    }
};

TEST(SocketFile, IsRemoved) {
    UniqueFd listener = listen_stream(address).value();
    SocketFile file = SocketFile::of(address);
    CHECK(!file.empty());
    listener.reset();
    CHECK(exists());
    file.remove();
    CHECK(!exists());
    CHECK(file.empty());
}

TEST(SocketFile, OfADatagramSocketIsRemoved) {
    UniqueFd socket = bind_datagram(address).value();
    SocketFile file = SocketFile::of(address);
    socket.reset();
    file.remove();
    CHECK(!exists());
}

TEST(SocketFile, OfASuccessorStays) {
    UniqueFd listener = listen_stream(address).value();
    SocketFile file = SocketFile::of(address);
    listener.reset();
    const UniqueFd successor = listen_stream(address).value();  // maybe with the same inode number
    file.remove();
    CHECK(exists());
}

TEST(SocketFile, OfADescriptorThatLivesOnElsewhereStays) {
    UniqueFd listener = listen_stream(address).value();
    SocketFile file = SocketFile::of(address);
    const UniqueFd inherited(::fcntl(listener.get(), F_DUPFD_CLOEXEC, 0));
    listener.reset();
    file.remove();
    CHECK(exists());
}

TEST(SocketFile, AnotherFileInItsPlaceStays) {
    UniqueFd listener = listen_stream(address).value();
    SocketFile file = SocketFile::of(address);
    listener.reset();
    ::unlink(path.c_str());
    UniqueFd(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)).reset();
    file.remove();
    CHECK(exists());
}

TEST(SocketFile, ThatIsGoneIsNoMatter) {
    UniqueFd listener = listen_stream(address).value();
    SocketFile file = SocketFile::of(address);
    ::unlink(path.c_str());
    file.remove();
    CHECK(!exists());
}

TEST(SocketFile, UndecidedItStays) {
    UniqueFd listener = listen_stream(address).value();
    SocketFile file = SocketFile::of(address);
    listener.reset();
    faults.fail("socket", EMFILE);
    file.remove();
    CHECK(exists());
}

TEST(SocketFile, OfOtherAddressesIsEmpty) {
    CHECK(SocketFile::of(SockAddr::loopback(80)).empty());
    CHECK(SocketFile::of(SockAddr()).empty());
    CHECK(SocketFile::of(abstract_address("file")).empty());
    CHECK(SocketFile::of(address).empty());  // nothing there
    SocketFile().remove();
}

TEST(SocketFile, HasThePermissionsThatAreAskedFor) {
    const mode_t before = ::umask(077);
    const UniqueFd listener = listen_stream(address, {.permissions = 0666}).value();
    ::umask(before);
    LONGS_EQUAL(0666, mode());
}

TEST(SocketFile, IsNeverWiderThanAskedFor) {
    const mode_t before = ::umask(0);
    int at_first = -1;
    faults.before("chmod", [&] { at_first = mode(); });
    const UniqueFd listener = listen_stream(address, {.permissions = 0600}).value();
    ::umask(before);
    LONGS_EQUAL(0600, at_first);
    LONGS_EQUAL(0600, mode());
}

TEST(SocketFile, OfADatagramSocketHasPermissionsToo) {
    const UniqueFd socket = bind_datagram(address, {.permissions = 0620}).value();
    LONGS_EQUAL(0620, mode());
}

TEST(SocketFile, WithoutPermissionsAskedForTheUmaskDecides) {
    const UniqueFd listener = listen_stream(address).value();
    LONGS_EQUAL(0, faults.calls("chmod"));
    LONGS_EQUAL(0, faults.calls("fchmod"));
}

TEST(SocketFile, ThatCannotHaveItsPermissionsIsAnErrorAndGone) {
    for (const char* call : {"fchmod", "chmod"}) {
        faults.fail(call, EPERM);
        const auto listener = listen_stream(address, {.permissions = 0600});
        CHECK(!listener);
        CHECK_EQUAL(std::string(call) + " " + address.to_string() + ": Operation not permitted",
                    listener.error().message());
        CHECK(!exists());
    }
}

TEST(SocketFile, OfADatagramSocketThatWasLeftBehindIsReplaced) {
    bind_datagram(address).value().reset();
    CHECK(exists());
    CHECK(bind_datagram(address).ok());
}

TEST(SocketFile, OfADatagramSocketInUseIsNot) {
    const UniqueFd socket = bind_datagram(address).value();
    const auto second = bind_datagram(address);
    CHECK(!second && second.error() == std::errc::address_in_use);
    STRCMP_CONTAINS("stop that server, or listen elsewhere", second.error().message().c_str());
}
