// Certificates for tests, made while the test runs: authorities, and what they issue. ECDSA P-256.
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <memory>
#include <string>

#include "evcorothread/tls_context.h"
#include "test/support/harness.h"
#include "test/support/temp_dir.h"

namespace test_support {

struct OpensslDelete {
    void operator()(X509* certificate) const { X509_free(certificate); }
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    void operator()(FILE* file) const { std::fclose(file); }
};
using CertificatePtr = std::unique_ptr<X509, OpensslDelete>;
using KeyPtr = std::unique_ptr<EVP_PKEY, OpensslDelete>;

struct CertificateOptions {
    std::string hosts{};  // "DNS:localhost,DNS:*.example.org,IP:127.0.0.1"
    long begins = -3600;  // seconds from now
    long ends = 24 * 3600;
    bool is_authority = false;
    bool rsa = false;
};

inline KeyPtr make_key(bool rsa) { return KeyPtr(rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256")); }

inline void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    CHECK(extension != nullptr);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

// A null issuer signs itself.
inline CertificatePtr make_certificate(const std::string& name, EVP_PKEY* key, X509* issuer, EVP_PKEY* signer,
                                       const CertificateOptions& options) {
    static long serial = 1000;
    CertificatePtr certificate(X509_new());
    X509* const x = certificate.get();
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(x), options.begins);
    X509_gmtime_adj(X509_getm_notAfter(x), options.ends);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(issuer != nullptr ? issuer : x));
    X509_set_pubkey(x, key);
    add_extension(x, issuer != nullptr ? issuer : x, NID_basic_constraints,
                  options.is_authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (!options.hosts.empty()) add_extension(x, issuer, NID_subject_alt_name, options.hosts);
    CHECK(X509_sign(x, signer, EVP_sha256()) > 0);
    return certificate;
}

// Who issues certificates; all their files lie in `folder`.
class Authority {
  public:
    Authority(const TempDir& folder, const std::string& name) : folder_(folder), name_(name) {
        key_ = make_key(false);
        certificate_ = make_certificate(name, key_.get(), nullptr, key_.get(), {.is_authority = true});
        write(file(), nullptr, {certificate_.get()});
    }

    [[nodiscard]] std::string file() const { return folder_.file(name_ + ".ca.pem"); }

    // A certificate and its key, in NAME.pem and NAME.key.
    [[nodiscard]] evcorothread::TlsCertificate issue(const std::string& name,
                                                     const CertificateOptions& options = {}) const {
        const KeyPtr key = make_key(options.rsa);
        const CertificatePtr certificate =
            make_certificate(name, key.get(), certificate_.get(), key_.get(), options);
        evcorothread::TlsCertificate files{folder_.file(name + ".pem"), folder_.file(name + ".key")};
        write(files.chain_file, nullptr, {certificate.get()});
        write(files.key_file, key.get(), {});
        return files;
    }

    // The same through another authority that this one vouches for: a chain of two.
    [[nodiscard]] evcorothread::TlsCertificate issue_through(const std::string& middle,
                                                             const std::string& name,
                                                             const CertificateOptions& options) const {
        const KeyPtr middle_key = make_key(false);
        const CertificatePtr middle_certificate = make_certificate(
            middle, middle_key.get(), certificate_.get(), key_.get(), {.is_authority = true});
        const KeyPtr key = make_key(options.rsa);
        const CertificatePtr certificate =
            make_certificate(name, key.get(), middle_certificate.get(), middle_key.get(), options);
        evcorothread::TlsCertificate files{folder_.file(name + ".pem"), folder_.file(name + ".key")};
        write(files.chain_file, nullptr, {certificate.get(), middle_certificate.get()});
        write(files.key_file, key.get(), {});
        return files;
    }

  private:
    static void write(const std::string& path, EVP_PKEY* key, std::initializer_list<X509*> certificates) {
        const std::unique_ptr<FILE, OpensslDelete> out(std::fopen(path.c_str(), "we"));
        CHECK(out != nullptr);
        if (key != nullptr)
            CHECK_EQUAL(1, PEM_write_PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr));
        for (X509* const certificate : certificates) CHECK_EQUAL(1, PEM_write_X509(out.get(), certificate));
    }

    const TempDir& folder_;
    std::string name_;
    KeyPtr key_;
    CertificatePtr certificate_;
};

}  // namespace test_support
