// NameError: why a name has no addresses, in one error category with the texts of gai_strerror(3).
#pragma once

#include <netdb.h>

#include <string>
#include <system_error>

#include "cutils/export.h"

namespace nutils {

// What getaddrinfo(3) says, told apart by what can be done about it:
//
//   if (error == NameError::not_found) …    the name does not exist: do not ask again
//   if (error == NameError::try_again) …    no server has answered: later, perhaps
//
// Each equals the std::errc that is closest in meaning, too. EAI_SYSTEM is no NameError but the errno behind
// it.
enum class NameError {
    not_found = EAI_NONAME,         // nobody has this name        errc::no_such_device_or_address
    no_address = EAI_NODATA,        // it exists, without address  errc::no_such_device_or_address
    wrong_family = EAI_ADDRFAMILY,  // no address of a family that this machine has     (the same)
    try_again = EAI_AGAIN,          // nobody could be asked       errc::resource_unavailable_try_again
    failed = EAI_FAIL,              // a server refused to say     errc::protocol_error
    no_such_service = EAI_SERVICE,  // the port has no number of that name    errc::invalid_argument
    no_memory = EAI_MEMORY,         //                             errc::not_enough_memory
};

namespace detail {

class NameCategory final : public std::error_category {
  public:
    constexpr NameCategory() noexcept = default;
    [[nodiscard]] const char* name() const noexcept override;
    [[nodiscard]] std::string message(int code) const override;
    [[nodiscard]] std::error_condition default_error_condition(int code) const noexcept override;
};

// There before the first constructor runs and after the last destructor: errors may be made at any time.
union EternalNameCategory {
    constexpr EternalNameCategory() noexcept : category() {}
    ~EternalNameCategory() {}  // NOLINT: leaves the category alive on purpose
    NameCategory category;
};
EVC_API extern const EternalNameCategory name_category_holder;

}  // namespace detail

// The category of every NameError; its name is "name".
[[nodiscard]] inline const std::error_category& name_category() noexcept {
    return detail::name_category_holder.category;
}

// Found by std::error_code, so that `error == NameError::not_found` just works.
[[nodiscard]] inline std::error_code make_error_code(NameError error) noexcept {
    return {static_cast<int>(error), name_category()};
}

// The error that `code`, returned by getaddrinfo(3), stands for; with EAI_SYSTEM the one of `number`, the
// errno it left.
[[nodiscard]] EVC_API std::error_code name_error(int code, int number) noexcept;

}  // namespace nutils

template <>
struct std::is_error_code_enum<nutils::NameError> : std::true_type {};
