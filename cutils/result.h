// Result<T>: a T, or the Error that says why there is none. For functions that make something; transfers of
// bytes return nutils::IoResult.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>

#include "cutils/check.h"
#include "cutils/export.h"

namespace cutils {

// What went wrong and where: a std::error_code to decide by, and words for the person who reads the log.
//
//   return Error(std::error_code(errno, std::generic_category()), "bind 127.0.0.1:80");
//   error.message()  ->  "bind 127.0.0.1:80: Permission denied"
//
// Cost: no allocation while the context is empty.
class EVC_API Error {
  public:
    Error(std::error_code code) : code_(code) {}  // NOLINT: a code is an error
    Error(std::error_code code, std::string context) : code_(code), context_(std::move(context)) {}

    // From errno, taken now.
    static Error from_errno(std::string context);
    // The same code and words: raise() and back.
    static Error from(const std::system_error& thrown);

    [[nodiscard]] const std::error_code& code() const { return code_; }
    [[nodiscard]] const std::string& context() const { return context_; }
    [[nodiscard]] std::string message() const;

    // For those who want exceptions: std::system_error with the same code and words.
    [[noreturn]] void raise() const;

    friend bool operator==(const Error& error, const std::error_code& code) { return error.code_ == code; }
    // Of a kind of error: std::errc::…, TlsError::….
    template <class Condition>
    requires std::is_error_condition_enum_v<Condition>
    friend bool operator==(const Error& error, Condition condition) { return error.code_ == condition; }

  private:
    std::error_code code_;
    std::string context_;
};

// Usage:
//
//   Result<UniqueFd> opened = open_file(path);
//   if (!opened) return opened.error();        // hand the reason on
//   use(*opened);
//
//   auto acceptor = EvTcpAcceptor::listen(...).value();   // or throw std::system_error
template <class T>
class [[nodiscard]] Result {
  public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit on purpose
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT
    Result(std::error_code code) : Result(Error(code)) {}                      // NOLINT

    [[nodiscard]] bool ok() const { return state_.index() == 0; }
    explicit operator bool() const { return ok(); }

    // Before: ok(); anything else is a bug in the caller and aborts.
    [[nodiscard]] T& operator*() & { return checked(); }
    [[nodiscard]] const T& operator*() const& { return const_cast<Result*>(this)->checked(); }
    [[nodiscard]] T&& operator*() && { return std::move(checked()); }
    [[nodiscard]] T* operator->() { return &checked(); }
    [[nodiscard]] const T* operator->() const { return &const_cast<Result*>(this)->checked(); }

    // Before: !ok().
    [[nodiscard]] const Error& error() const {
        EVC_CHECK(!ok(), "Result::error() on a result that has a value");
        return *std::get_if<1>(&state_);
    }

    // The value, or std::system_error with the error's code and words.
    [[nodiscard]] T& value() & { return or_throw(); }
    [[nodiscard]] T value() && { return std::move(or_throw()); }

    [[nodiscard]] T value_or(T other) && { return ok() ? std::move(checked()) : std::move(other); }

  private:
    T& checked() {
        EVC_CHECK(ok(), "Result has no value: test it before use, or call value() to get an exception");
        return *std::get_if<0>(&state_);
    }
    T& or_throw() {
        if (!ok()) error().raise();
        return *std::get_if<0>(&state_);
    }

    std::variant<T, Error> state_;
};

// A Result without a value: success, or the reason. A std::error_code that says "no error" is success:
//
//   Result<void> greet(EvSocket& peer) { return peer.send_all("hello\n", 3s).error; }
template <>
class [[nodiscard]] Result<void> {
  public:
    Result() = default;
    Result(Error error) : error_(std::make_unique<Error>(std::move(error))) {}  // NOLINT
    Result(std::error_code code) {                                              // NOLINT
        if (code) error_ = std::make_unique<Error>(code);
    }

    [[nodiscard]] bool ok() const { return error_ == nullptr; }
    explicit operator bool() const { return ok(); }
    [[nodiscard]] const Error& error() const {
        EVC_CHECK(!ok(), "Result::error() on a result that succeeded");
        return *error_;
    }
    void value() const {
        if (error_) error_->raise();
    }

  private:
    std::unique_ptr<Error> error_;
};

}  // namespace cutils
