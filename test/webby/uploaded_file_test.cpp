#include "webby/uploaded_file.h"

#include <sys/stat.h>

#include <filesystem>
#include <iterator>
#include <string>
#include <utility>

#include "test/webby/multipart_body.h"
#include "test/webby/temp_folder.h"

#include "test/support/harness.h"

using namespace webby;
using namespace webby_test;

TEST_GROUP_BASE(UploadedFile, test_support::Fixture) {
    TempFolder folder;
    std::size_t files() {
        return static_cast<std::size_t>(
            std::distance(std::filesystem::directory_iterator(folder.path()), {}));
    }
};

TEST(UploadedFile, IsForThisUserOnlyAndGoneWithItsObject) {
    {
        UploadedFile file = UploadedFile::create(folder.path()).value();
        CHECK(file.write("abc").ok());
        struct stat status {};
        LONGS_EQUAL(0, ::stat(file.path().c_str(), &status));
        LONGS_EQUAL(0600, status.st_mode & 07777);
        CHECK_EQUAL(3, file.size());
        CHECK_EQUAL(1, files());
    }
    CHECK_EQUAL(0, files());
}

TEST(UploadedFile, StaysWhereItIsMoved) {
    const std::string path = folder.path() + "/taken";
    {
        UploadedFile file = UploadedFile::create(folder.path()).value();
        (void)file.write("abc");
        CHECK(file.move_to(path).ok());
        CHECK_FALSE(file);
    }
    CHECK_EQUAL("abc", content_of(path));
    CHECK_EQUAL(1, files());
}

TEST(UploadedFile, NeverReplacesAFile) {
    folder.write("taken", "old");
    {
        UploadedFile file = UploadedFile::create(folder.path()).value();
        const auto moved = file.move_to(folder.path() + "/taken");
        CHECK(!moved && moved.error() == std::errc::file_exists);
        CHECK(static_cast<bool>(file));
    }
    CHECK_EQUAL("old", content_of(folder.path() + "/taken"));
    CHECK_EQUAL(1, files());
}

TEST(UploadedFile, MovesItsFileAlong) {
    UploadedFile a = UploadedFile::create(folder.path()).value();
    UploadedFile b = UploadedFile::create(folder.path()).value();
    CHECK_EQUAL(2, files());
    a = std::move(b);
    CHECK_EQUAL(1, files());
    const UploadedFile c(std::move(a));
    CHECK(static_cast<bool>(c));
    CHECK_EQUAL(1, files());
}
