// NetError: the ordinary outcomes of input and output that errno has no good word for, in one error category.
//
// Every error of this toolkit is a std::error_code: one of these, or the errno of a system call
// (std::generic_category). A NetError also compares equal to the std::errc that is closest in meaning:
//
//   if (error == NetError::timed_out) …     our deadline passed; the stream is still usable
//   if (error == std::errc::timed_out) …    that, or the kernel gave up on the peer (ETIMEDOUT)
#pragma once

#include <string>
#include <system_error>

#include "cutils/export.h"

namespace nutils {

enum class NetError {
    eof = 1,      // the peer finished sending; no more bytes will come       errc::no_message_available
    timed_out,    // the deadline passed; what was waited for is unharmed     errc::timed_out
    canceled,     // whoever waited was asked to stop                         errc::operation_canceled
    busy,         // somebody else is already waiting for the same thing      errc::device_or_resource_busy
    closed,       // close() was called on our side                           errc::bad_file_descriptor
    would_block,  // nothing to be had without waiting                        errc::operation_would_block
    in_progress,  // begun, and not finished yet (connect)                    errc::operation_in_progress
    refused,      // a limit, or whoever makes the thing, said no             errc::connection_refused
    too_long,     // more than the limit: no delimiter yet, a full buffer     errc::message_size
    truncated,    // the end came in the middle of something                  errc::connection_aborted
};

namespace detail {

class NetCategory final : public std::error_category {
  public:
    constexpr NetCategory() noexcept = default;
    [[nodiscard]] const char* name() const noexcept override;
    [[nodiscard]] std::string message(int code) const override;
    [[nodiscard]] std::error_condition default_error_condition(int code) const noexcept override;
};

// There before the first constructor runs and after the last destructor: errors may be made at any time.
union EternalNetCategory {
    constexpr EternalNetCategory() noexcept : category() {}
    ~EternalNetCategory() {}  // NOLINT: leaves the category alive on purpose
    NetCategory category;
};
EVC_API extern const EternalNetCategory net_category_holder;

}  // namespace detail

// The category of every NetError; its name is "net".
// Cost: an address; no call, no guard.
[[nodiscard]] inline const std::error_category& net_category() noexcept {
    return detail::net_category_holder.category;
}

// Found by std::error_code, so that `return NetError::eof;` and `error == NetError::eof` just work.
[[nodiscard]] inline std::error_code make_error_code(NetError error) noexcept {
    return {static_cast<int>(error), net_category()};
}

// The error that errno `number` stands for: would_block for EAGAIN, std::generic_category for all others.
[[nodiscard]] EVC_API std::error_code errno_code(int number) noexcept;

// The other way, for the C face: what to store in errno. 0 for no error; the errno of a system or generic
// code as it is; ENODATA, ETIMEDOUT, ECANCELED, EBUSY, EBADF, EAGAIN, EINPROGRESS, ECONNREFUSED, EMSGSIZE,
// ECONNABORTED for a NetError in the order above; EIO for what has no errno.
[[nodiscard]] EVC_API int to_errno(const std::error_code& error) noexcept;

}  // namespace nutils

template <>
struct std::is_error_code_enum<nutils::NetError> : std::true_type {};
