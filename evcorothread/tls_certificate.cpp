// Certificates: loading them with clear errors, and reading for whom and until when they are.
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <string_view>

#include "cutils/log.h"
#include "evcorothread/tls_setup_internal.h"

namespace evcorothread {
namespace {

SystemTime to_time(const ASN1_TIME* time) {
    std::tm parts = {};
    if (ASN1_TIME_to_tm(time, &parts) != 1) return SystemTime::max();
    return std::chrono::system_clock::from_time_t(::timegm(&parts));
}

std::string to_text(SystemTime time) {
    const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
    std::tm parts = {};
    ::gmtime_r(&seconds, &parts);
    char text[32];
    return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts)};
}

void warn_if_not_valid_now(const X509* certificate, const std::string& file) {
    const SystemTime now = std::chrono::system_clock::now();
    const SystemTime begin = to_time(X509_get0_notBefore(certificate));
    const SystemTime end = to_time(X509_get0_notAfter(certificate));
    if (now > end)
        cutils::log(cutils::LogLevel::warning, "certificate %s expired at %s: the other side will refuse it",
                    file.c_str(), to_text(end).c_str());
    else if (now < begin)
        cutils::log(cutils::LogLevel::warning,
                    "certificate %s is not valid before %s: the other side will refuse it", file.c_str(),
                    to_text(begin).c_str());
}

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return result;
}

std::string text_of(const ASN1_STRING* string) {
    return lower({reinterpret_cast<const char*>(ASN1_STRING_get0_data(string)),
                  static_cast<std::size_t>(ASN1_STRING_length(string))});
}

// Old certificates name the host in their subject.
void add_common_name(const X509* certificate, std::vector<std::string>& names) {
    const X509_NAME* const subject = X509_get_subject_name(certificate);
    const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at >= 0) names.push_back(text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))));
}

// Of a key that was read and does not fit: chain files begin with the wrong certificate, too.
cutils::Error another_ones_key(const TlsCertificate& files) {
    return take_file_error("key " + files.key_file + ", which is not of the first certificate in " +
                           files.chain_file);
}

cutils::Result<void> use_key(SSL_CTX* context, const TlsCertificate& files) {
    bool is_encrypted = false;
    SSL_CTX_set_default_passwd_cb_userdata(context, &is_encrypted);
    const int done = SSL_CTX_use_PrivateKey_file(context, files.key_file.c_str(), SSL_FILETYPE_PEM);
    SSL_CTX_set_default_passwd_cb_userdata(context, nullptr);
    if (done != 1) {
        if (ERR_GET_LIB(ERR_peek_last_error()) == ERR_LIB_X509) return another_ones_key(files);
        return take_file_error("key " + files.key_file +
                               (is_encrypted ? ", which must not be encrypted" : ""));
    }
    // One of another kind has been taken, beside.
    if (SSL_CTX_check_private_key(context) != 1) return another_ones_key(files);
    return {};
}

}  // namespace

cutils::Result<SystemTime> use_certificate(ssl_ctx_st* context, const TlsCertificate& files) {
    if (files.chain_file.empty() || files.key_file.empty())
        return cutils::Error(std::make_error_code(std::errc::invalid_argument),
                             files.key_file.empty() ? "certificate " + files.chain_file + " without a key"
                                                    : "key " + files.key_file + " without a certificate");
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(context, files.chain_file.c_str()) != 1)
        return take_file_error("certificate " + files.chain_file);
    const X509* const certificate = SSL_CTX_get0_certificate(context);
    if (const auto done = use_key(context, files); !done) return done.error();
    warn_if_not_valid_now(certificate, files.chain_file);
    return to_time(X509_get0_notAfter(certificate));
}

std::vector<std::string> names_of_certificate(ssl_ctx_st* context) {
    struct NamesDelete {
        void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
    };
    const X509* const certificate = SSL_CTX_get0_certificate(context);
    const std::unique_ptr<GENERAL_NAMES, NamesDelete> alternatives(
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
    std::vector<std::string> names;
    for (int i = 0; i < sk_GENERAL_NAME_num(alternatives.get()); ++i) {
        const GENERAL_NAME* const name = sk_GENERAL_NAME_value(alternatives.get(), i);
        if (name->type == GEN_DNS) names.push_back(text_of(name->d.dNSName));
    }
    if (names.empty()) add_common_name(certificate, names);
    return names;
}

}  // namespace evcorothread
