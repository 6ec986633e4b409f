#include "nutils/name_error.h"

#include <cerrno>

#include "nutils/net_error.h"
#include "test/support/net_strings.h"

using nutils::name_error;
using nutils::NameError;

TEST_GROUP_BASE(NameError, test_support::Fixture){};

TEST(NameError, SpeaksWithTheWordsOfTheSystem) {
    CHECK_EQUAL("Name or service not known", make_error_code(NameError::not_found).message());
    CHECK_EQUAL("Temporary failure in name resolution", make_error_code(NameError::try_again).message());
    STRCMP_EQUAL("name", nutils::name_category().name());
}

TEST(NameError, TellsAnUnknownNameFromASilentServer) {
    CHECK(name_error(EAI_NONAME, 0) == NameError::not_found);
    CHECK(name_error(EAI_AGAIN, 0) == NameError::try_again);
    CHECK(name_error(EAI_AGAIN, 0) != NameError::not_found);
}

TEST(NameError, OfASystemErrorIsItsErrno) {
    CHECK_EQUAL(nutils::errno_code(EMFILE), name_error(EAI_SYSTEM, EMFILE));
    CHECK(!name_error(0, EMFILE));
}

TEST(NameError, EqualsTheErrcOfTheSameMeaning) {
    for (const NameError none : {NameError::not_found, NameError::no_address, NameError::wrong_family})
        CHECK(make_error_code(none) == std::errc::no_such_device_or_address);
    CHECK(make_error_code(NameError::try_again) == std::errc::resource_unavailable_try_again);
    CHECK(make_error_code(NameError::failed) == std::errc::protocol_error);
    CHECK(make_error_code(NameError::no_such_service) == std::errc::invalid_argument);
    CHECK(make_error_code(NameError::no_memory) == std::errc::not_enough_memory);
}

TEST(NameError, OfACodeThatItDoesNotKnowEqualsOnlyItself) {
    const std::error_code odd = name_error(EAI_BADFLAGS, 0);
    CHECK(odd.default_error_condition().category() == nutils::name_category());
    CHECK(!odd.message().empty());
}
