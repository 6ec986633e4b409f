#include "cutils/result.h"

#include <cerrno>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "test/support/death.h"
#include "test/support/harness.h"

using cutils::Error;
using cutils::Result;
using test_support::abort_message;

namespace {
const std::error_code kDenied(EACCES, std::generic_category());
}

TEST_GROUP_BASE(Error, test_support::Fixture){};

TEST(Error, MessageIsTheContextAndTheCode) {
    CHECK_EQUAL("bind :80: Permission denied", Error(kDenied, "bind :80").message());
    CHECK_EQUAL("Permission denied", Error(kDenied).message());
}

TEST(Error, FromErrnoTakesErrno) {
    errno = EACCES;
    const Error error = Error::from_errno("open");
    CHECK_EQUAL(kDenied, error.code());
    CHECK_EQUAL("open", error.context());
}

TEST(Error, ComparesWithCodesAndConditions) {
    CHECK(Error(kDenied, "x") == kDenied);
    CHECK(Error(kDenied, "x") == std::errc::permission_denied);
    CHECK(Error(kDenied, "x") != std::errc::address_in_use);
}

TEST(Error, RaisesASystemErrorWithTheSameCodeAndWords) {
    try {
        Error(kDenied, "bind :80").raise();
    } catch (const std::system_error& error) {
        CHECK_EQUAL(kDenied, error.code());
        STRCMP_CONTAINS("bind :80", error.what());
    }
}

TEST_GROUP_BASE(Result, test_support::Fixture) {
    Result<std::string> good{std::string("value")};
    Result<std::string> bad{Error(kDenied, "making it")};
};

TEST(Result, OfAValueIsTrueAndGivesIt) {
    CHECK(good);
    CHECK(good.ok());
    CHECK_EQUAL("value", *good);
    LONGS_EQUAL(5, good->size());
    CHECK_EQUAL("value", std::as_const(good)->substr(0));
}

TEST(Result, OfAnErrorIsFalseAndGivesIt) {
    CHECK(!bad);
    CHECK_EQUAL(kDenied, bad.error().code());
    CHECK_EQUAL("making it", bad.error().context());
}

TEST(Result, CanBeMadeOfACodeAlone) {
    const Result<int> result = kDenied;
    CHECK_EQUAL(kDenied, result.error().code());
    CHECK_EQUAL("", result.error().context());
}

TEST(Result, TheValueCanBeChangedAndMovedOut) {
    *good += "!";
    const std::string taken = *std::move(good);
    CHECK_EQUAL("value!", taken);
}

TEST(Result, HoldsWhatCanOnlyBeMoved) {
    Result<std::unique_ptr<int>> made = std::make_unique<int>(7);
    const std::unique_ptr<int> taken = std::move(made).value();
    LONGS_EQUAL(7, *taken);
}

TEST(Result, ValueGivesTheValue) {
    CHECK_EQUAL("value", good.value());
    good.value() = "other";
    CHECK_EQUAL("other", std::move(good).value());
}

TEST(Result, ValueOfAnErrorThrowsIt) {
    bool thrown = false;
    try {
        (void)bad.value();
    } catch (const std::system_error& error) {
        thrown = error.code() == kDenied;
    }
    CHECK(thrown);
}

TEST(Result, ValueOrGivesOneOrTheOther) {
    CHECK_EQUAL("value", std::move(good).value_or("other"));
    CHECK_EQUAL("other", std::move(bad).value_or("other"));
}

TEST(Result, TheWrongQuestionAborts) {
    STRCMP_CONTAINS("Result has no value", abort_message([this] { (void)*bad; }).c_str());
    STRCMP_CONTAINS("Result has no value", abort_message([this] { (void)bad->size(); }).c_str());
    STRCMP_CONTAINS("on a result that has a value", abort_message([this] { (void)good.error(); }).c_str());
}

TEST_GROUP_BASE(ResultVoid, test_support::Fixture){};

TEST(ResultVoid, IsASuccessByDefault) {
    const Result<void> done;
    CHECK(done);
    done.value();
}

TEST(ResultVoid, GivesItsError) {
    const Result<void> failed = Error(kDenied, "doing it");
    CHECK(!failed);
    CHECK_EQUAL("doing it: Permission denied", failed.error().message());
    const Result<void> coded = kDenied;
    CHECK_EQUAL(kDenied, coded.error().code());
}

TEST(ResultVoid, ACodeWithoutAnErrorIsASuccess) {
    const Result<void> done = std::error_code();
    CHECK(done);
}

TEST(ResultVoid, ValueOfAnErrorThrowsIt) {
    bool thrown = false;
    try {
        Result<void>(kDenied).value();
    } catch (const std::system_error&) {
        thrown = true;
    }
    CHECK(thrown);
}

TEST(ResultVoid, TheErrorOfASuccessAborts) {
    STRCMP_CONTAINS("on a result that succeeded",
                    abort_message([] { (void)Result<void>().error(); }).c_str());
}

TEST(ResultVoid, AnErrorThatWasThrownSaysTheSame) {
    for (const char* const context : {"doing it", ""}) {
        const Error before(kDenied, context);
        std::string message, context_after = "nothing was thrown";
        try {
            before.raise();
        } catch (const std::system_error& thrown) {
            message = Error::from(thrown).message();
            context_after = Error::from(thrown).context();
        }
        CHECK_EQUAL(before.message(), message);
        CHECK_EQUAL(std::string(context), context_after);
    }
}
