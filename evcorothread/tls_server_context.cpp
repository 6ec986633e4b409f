// A server's SSL_CTX: one for each certificate, found by the host the client names.
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <map>
#include <utility>

#include "cutils/log.h"
#include "evcorothread/tls_setup_internal.h"

namespace evcorothread {
namespace {

// What hangs on the first context. A connection keeps that one as the owner of its session even after it has
// changed to another certificate's, so this lives as long as it is needed.
struct ServerParts {
    std::string alpn;
    std::map<std::string, SSL_CTX*, std::less<>> by_name;
    std::vector<SslContextPtr> contexts;  // but the first
    std::shared_ptr<TlsTicketKeys> keys;

    [[nodiscard]] SSL_CTX* find(std::string_view host) const;
};

SSL_CTX* ServerParts::find(std::string_view host) const {
    std::string name(host);
    for (char& c : name)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (name.ends_with('.')) name.pop_back();
    if (const auto exact = by_name.find(name); exact != by_name.end()) return exact->second;
    const std::size_t dot = name.find('.');
    if (dot == std::string::npos) return nullptr;
    const auto wild = by_name.find(name.replace(0, dot, 1, '*'));
    return wild != by_name.end() ? wild->second : nullptr;
}

void delete_parts(void*, void* parts, CRYPTO_EX_DATA*, int, long, void*) {
    delete static_cast<ServerParts*>(parts);
}
int parts_index() {
    static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, delete_parts);
    return index;
}

int choose_certificate(SSL* ssl, int*, void* argument) {
    const char* const host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (host == nullptr) return SSL_TLSEXT_ERR_NOACK;
    try {
        SSL_CTX* const context = static_cast<const ServerParts*>(argument)->find(host);
        if (context == nullptr) return SSL_TLSEXT_ERR_NOACK;
        if (SSL_get_SSL_CTX(ssl) == context || SSL_set_SSL_CTX(ssl, context) != nullptr)
            return SSL_TLSEXT_ERR_OK;
    } catch (...) {
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                    unsigned int offered_size, void* argument) {
    const std::string& ours = static_cast<const ServerParts*>(argument)->alpn;
    unsigned char* chosen = nullptr;
    const int found =
        SSL_select_next_proto(&chosen, out_size, reinterpret_cast<const unsigned char*>(ours.data()),
                              static_cast<unsigned int>(ours.size()), offered, offered_size);
    *out = chosen;
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

// Whom we trust to issue clients' certificates, and a list of them for the clients.
cutils::Result<void> use_client_issuers(SSL_CTX* context, const TlsServerOptions& options) {
    const std::string& file = options.client_ca_file;
    const std::string& dir = options.client_ca_dir;
    if (file.empty() && dir.empty())
        return cutils::Error(std::make_error_code(std::errc::invalid_argument),
                             "clients' certificates are wanted, but nobody is named who may issue them");
    STACK_OF(X509_NAME)* const names = sk_X509_NAME_new_null();
    SSL_CTX_set_client_CA_list(context, names);  // owns it
    if (names == nullptr) return std::make_error_code(std::errc::not_enough_memory);
    ERR_clear_error();
    if (!file.empty() && (SSL_CTX_load_verify_file(context, file.c_str()) != 1 ||
                          SSL_add_file_cert_subjects_to_stack(names, file.c_str()) != 1))
        return take_file_error("issuers of clients' certificates " + file);
    if (!dir.empty() && (SSL_CTX_load_verify_dir(context, dir.c_str()) != 1 ||
                         SSL_add_dir_cert_subjects_to_stack(names, dir.c_str()) != 1))
        return take_file_error("issuers of clients' certificates in " + dir);
    return {};
}

// What the first context has read from files, another one shares.
bool share_client_issuers(SSL_CTX* context, const SSL_CTX* first) {
    SSL_CTX_set1_cert_store(context, SSL_CTX_get_cert_store(first));
    STACK_OF(X509_NAME)* const names = SSL_dup_CA_list(SSL_CTX_get_client_CA_list(first));
    SSL_CTX_set_client_CA_list(context, names);
    return names != nullptr;
}

cutils::Result<void> configure(SSL_CTX* context, SSL_CTX* first, ServerParts& parts,
                               const TlsServerOptions& options) {
    if (!parts.alpn.empty()) SSL_CTX_set_alpn_select_cb(context, choose_protocol, &parts);
    if (options.session_lifetime.count() > 0) {
        SSL_CTX_set_timeout(context, static_cast<long>(options.session_lifetime.count()));
        SSL_CTX_set_num_tickets(context, 1);
        parts.keys->attach(context);
    } else {
        SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(context, 0);
    }
    if (options.client_auth == TlsClientAuth::none) {
        if (context == first && !(options.client_ca_file.empty() && options.client_ca_dir.empty()))
            cutils::log(cutils::LogLevel::warning,
                        "TLS: it is said who issues clients' certificates, but clients are asked for none");
        return {};
    }
    int mode = SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE;
    if (options.client_auth == TlsClientAuth::required) mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(context, mode, nullptr);
    // Sessions of clients that have shown a certificate are resumed only where the same is asked.
    static constexpr unsigned char kName[] = "evcorothread";
    SSL_CTX_set_session_id_context(context, kName, sizeof kName - 1);
    if (context == first) return use_client_issuers(context, options);
    if (!share_client_issuers(context, first)) return std::make_error_code(std::errc::not_enough_memory);
    return {};
}

cutils::Error no_context() { return {take_openssl_error(), "making a TLS context"}; }

// One certificate after the other.
class Builder {
  public:
    Builder(const TlsServerOptions& options, ServerParts& parts) : options_(options), parts_(parts) {}

    cutils::Result<void> add(const TlsCertificate& certificate);

    TlsMade made;

  private:
    struct Known {
        SSL_CTX* context;
        std::vector<std::string> names;
        std::vector<int> kinds;  // of keys
    };
    // Who has the same names with another kind of key.
    SSL_CTX* partner_of(const std::vector<std::string>& names, int kind);

    const TlsServerOptions& options_;
    ServerParts& parts_;
    std::vector<Known> known_;
};

cutils::Result<void> Builder::add(const TlsCertificate& certificate) {
    SslContextPtr context = make_base_context(true, options_.min_version);
    if (context == nullptr) return no_context();
    const cutils::Result<SystemTime> loaded = use_certificate(context.get(), certificate);
    if (!loaded) return loaded.error();
    made.expires = std::min(made.expires, *loaded);
    std::vector<std::string> names = names_of_certificate(context.get());
    const int kind = EVP_PKEY_get_base_id(SSL_CTX_get0_privatekey(context.get()));
    if (SSL_CTX* const partner = partner_of(names, kind)) {
        // OpenSSL chooses between them itself.
        const cutils::Result<SystemTime> again = use_certificate(partner, certificate);
        return again ? cutils::Result<void>() : again.error();
    }
    const bool is_first = made.context == nullptr;
    SSL_CTX* const first = is_first ? context.get() : made.context.get();
    if (const auto done = configure(context.get(), first, parts_, options_); !done) return done.error();
    // Of two certificates for one name, the first named has it.
    for (const std::string& name : names) parts_.by_name.emplace(name, context.get());
    known_.push_back({context.get(), std::move(names), {kind}});
    if (is_first)
        made.context = std::move(context);
    else
        parts_.contexts.push_back(std::move(context));
    return {};
}

SSL_CTX* Builder::partner_of(const std::vector<std::string>& names, int kind) {
    for (Known& other : known_) {
        if (other.names != names || std::count(other.kinds.begin(), other.kinds.end(), kind) != 0) continue;
        other.kinds.push_back(kind);
        return other.context;
    }
    return nullptr;
}

}  // namespace

cutils::Result<TlsMade> make_server_context(const TlsServerOptions& options,
                                            std::shared_ptr<TlsTicketKeys> keys) {
    if (options.certificates.empty())
        return cutils::Error(std::make_error_code(std::errc::invalid_argument),
                             "a TLS server needs a certificate");
    cutils::Result<std::string> alpn = alpn_list(options.alpn);
    if (!alpn) return alpn.error();
    auto parts = std::make_unique<ServerParts>();
    parts->alpn = *std::move(alpn);
    parts->keys = std::move(keys);
    Builder builder(options, *parts);
    for (const TlsCertificate& certificate : options.certificates)
        if (const auto added = builder.add(certificate); !added) return added.error();
    SSL_CTX* const first = builder.made.context.get();
    SSL_CTX_set_tlsext_servername_callback(first, choose_certificate);
    SSL_CTX_set_tlsext_servername_arg(first, parts.get());
    if (SSL_CTX_set_ex_data(first, parts_index(), parts.get()) != 1) return no_context();
    (void)parts.release();  // the context's now
    return std::move(builder.made);
}

}  // namespace evcorothread
