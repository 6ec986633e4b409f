#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <cerrno>

#include "evcorothread/tls_error.h"
#include "evcorothread/tls_openssl_internal.h"

namespace evcorothread {
namespace {

TlsError kind_of_openssl(unsigned long packed) noexcept {
    const int reason = ERR_GET_REASON(packed);
    if (ERR_GET_LIB(packed) != ERR_LIB_SSL) return TlsError::protocol;
    if (reason == SSL_R_HTTP_REQUEST || reason == SSL_R_HTTPS_PROXY_REQUEST) return TlsError::plain_text;
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED || reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
        return TlsError::certificate_refused;
    // OpenSSL's reasons from here on are the alerts of the protocol, which are bytes.
    if (reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256)
        return TlsError::refused_by_peer;
    return TlsError::protocol;
}

TlsError kind_of_verify(int result) noexcept {
    switch (result) {
        case X509_V_ERR_CERT_HAS_EXPIRED:
        case X509_V_ERR_CERT_NOT_YET_VALID: return TlsError::certificate_expired;
        case X509_V_ERR_HOSTNAME_MISMATCH:
        case X509_V_ERR_IP_ADDRESS_MISMATCH: return TlsError::wrong_host;
        default: return TlsError::certificate_refused;
    }
}

// Errors met while talking, and errors met in files: the same words, another kind.
class OpensslCategory : public std::error_category {
  public:
    constexpr OpensslCategory() noexcept = default;
    [[nodiscard]] const char* name() const noexcept override { return "tls"; }
    [[nodiscard]] std::string message(int code) const override {
        const auto packed = static_cast<unsigned long>(code);
        if (const char* const reason = ERR_reason_error_string(packed)) return reason;
        return "OpenSSL error " + std::to_string(packed);
    }
    [[nodiscard]] std::error_condition default_error_condition(int code) const noexcept override {
        return kind_of_openssl(static_cast<unsigned long>(code));
    }
};

class FileCategory final : public OpensslCategory {
  public:
    constexpr FileCategory() noexcept = default;
    [[nodiscard]] const char* name() const noexcept override { return "tls file"; }
    [[nodiscard]] std::error_condition default_error_condition(int) const noexcept override {
        return TlsError::bad_file;
    }
};

class VerifyCategory final : public std::error_category {
  public:
    constexpr VerifyCategory() noexcept = default;
    [[nodiscard]] const char* name() const noexcept override { return "certificate"; }
    [[nodiscard]] std::string message(int result) const override {
        return X509_verify_cert_error_string(result);
    }
    [[nodiscard]] std::error_condition default_error_condition(int result) const noexcept override {
        return kind_of_verify(result);
    }
};

// There before the first constructor runs and after the last destructor: errors may be made at any time.
template <class Category>
union Eternal {
    constexpr Eternal() noexcept : category() {}
    ~Eternal() {}  // NOLINT: leaves the category alive on purpose
    Category category;
};
constinit const Eternal<OpensslCategory> g_openssl;
constinit const Eternal<FileCategory> g_file;
constinit const Eternal<VerifyCategory> g_verify;

std::error_code to_code(unsigned long packed, const std::error_category& category) noexcept {
    if (packed == 0) return {EIO, std::generic_category()};
    const int reason = ERR_GET_REASON(packed);
    if (ERR_SYSTEM_ERROR(packed)) return {reason, std::generic_category()};
    if (reason == ERR_R_MALLOC_FAILURE) return std::make_error_code(std::errc::not_enough_memory);
    return {static_cast<int>(packed), category};
}

}  // namespace

std::error_code openssl_error(unsigned long packed) noexcept { return to_code(packed, g_openssl.category); }

std::error_code verify_error(long result) noexcept {
    if (result == X509_V_ERR_OUT_OF_MEM) return std::make_error_code(std::errc::not_enough_memory);
    return {static_cast<int>(result), g_verify.category};
}

std::error_code take_openssl_error() noexcept {
    const unsigned long packed = ERR_get_error();
    ERR_clear_error();
    return openssl_error(packed);
}

cutils::Error take_file_error(std::string_view what) {
    const char* data = nullptr;
    int flags = 0;
    const unsigned long packed = ERR_peek_error_data(&data, &flags);
    std::string context(what);
    if (packed != 0 && (flags & ERR_TXT_STRING) != 0 && data != nullptr && *data != '\0')
        context.append(" (").append(data).append(")");
    ERR_clear_error();
    return {to_code(packed, g_file.category), std::move(context)};
}

void SslDelete::operator()(ssl_st* ssl) const noexcept { SSL_free(ssl); }
void SslDelete::operator()(ssl_ctx_st* context) const noexcept { SSL_CTX_free(context); }
void SslDelete::operator()(ssl_session_st* session) const noexcept { SSL_SESSION_free(session); }

}  // namespace evcorothread
