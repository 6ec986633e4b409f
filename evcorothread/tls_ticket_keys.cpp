#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cstring>

#include "evcorothread/tls_ticket_keys_internal.h"

namespace evcorothread {
namespace {

bool fill_random(TlsTicketKeys::Key& key) noexcept {
    constexpr int kName = static_cast<int>(TlsTicketKeys::kNameSize);
    constexpr int kSecret = static_cast<int>(TlsTicketKeys::kSecretSize);
    return RAND_bytes(key.name.data(), kName) == 1 && RAND_priv_bytes(key.cipher.data(), kSecret) == 1 &&
           RAND_priv_bytes(key.mac.data(), kSecret) == 1;
}

bool set_mac(EVP_MAC_CTX* mac, TlsTicketKeys::Key& key) noexcept {
    char digest[] = "SHA256";
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac.data(), key.mac.size()),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

// OpenSSL wants: encrypting, 1 or -1; decrypting, 0 for an unknown key, 1, or 2 for "and give it a new one".
int seal_or_open(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                 int seal) {
    // The context of the host the client named has no keys of its own, but knows where they are.
    auto* const keys = static_cast<TlsTicketKeys*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
    const auto now = TlsTicketKeys::Clock::now();
    TlsTicketKeys::Key key;
    int result = -1;
    if (seal != 0) {
        if (keys->current(key, now) && RAND_bytes(iv, 16) == 1 &&
            EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.cipher.data(), iv) == 1 &&
            set_mac(mac, key)) {
            std::memcpy(name, key.name.data(), key.name.size());
            result = 1;
        }
    } else {
        bool latest = true;
        if (!keys->find(name, key, latest, now))
            result = 0;
        else if (set_mac(mac, key) &&
                 EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.cipher.data(), iv) == 1)
            // Where tickets are for one use, every connection gets a new one.
            result = latest && SSL_version(ssl) < TLS1_3_VERSION ? 1 : 2;
    }
    OPENSSL_cleanse(&key.cipher, key.cipher.size() + key.mac.size());
    return result;
}

}  // namespace

void TlsTicketKeys::attach(ssl_ctx_st* context) {
    SSL_CTX_set_app_data(context, this);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context, seal_or_open);
}

bool TlsTicketKeys::current(Key& key, Clock::time_point now) noexcept {
    const std::lock_guard lock(mutex_);
    if (!latest_.made || now - latest_.born >= lifetime_) {
        Key fresh;
        if (!fill_random(fresh)) return false;
        fresh.born = now;
        fresh.made = true;
        previous_ = latest_;
        latest_ = fresh;
    }
    key = latest_;
    return true;
}

bool TlsTicketKeys::find(const unsigned char* name, Key& key, bool& latest, Clock::time_point now) noexcept {
    const std::lock_guard lock(mutex_);
    for (const Key* known : {&latest_, &previous_}) {
        if (!known->made || now - known->born >= 2 * lifetime_) continue;
        if (!std::equal(known->name.begin(), known->name.end(), name)) continue;
        key = *known;
        latest = now - known->born < lifetime_;
        return true;
    }
    return false;
}

}  // namespace evcorothread
