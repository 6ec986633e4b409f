// What the TLS files share about OpenSSL, without its headers. Internal.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include "cutils/result.h"

struct ssl_st;
struct ssl_ctx_st;
struct ssl_session_st;

namespace evcorothread {

// What OpenSSL said last, as an error code whose message() is its text: of a packed OpenSSL error, of a
// verification result (X509_V_ERR_…). Errors of the system come out as what they are.
std::error_code openssl_error(unsigned long packed) noexcept;
std::error_code verify_error(long result) noexcept;

// Takes the first error out of this OS thread's queue, and forgets the others: consequences of the first.
std::error_code take_openssl_error() noexcept;
// The same about a file: what it is and its name, and what OpenSSL says besides. Its kind is
// TlsError::bad_file.
cutils::Error take_file_error(std::string_view what);

struct SslDelete {
    void operator()(ssl_st* ssl) const noexcept;
    void operator()(ssl_ctx_st* context) const noexcept;
    void operator()(ssl_session_st* session) const noexcept;
};
using SslPtr = std::unique_ptr<ssl_st, SslDelete>;
using SslContextPtr = std::unique_ptr<ssl_ctx_st, SslDelete>;
using SslSessionPtr = std::unique_ptr<ssl_session_st, SslDelete>;

}  // namespace evcorothread
