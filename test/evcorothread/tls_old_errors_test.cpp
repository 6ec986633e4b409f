// What other code has left in an OS thread's queue of OpenSSL errors is not taken for a connection's.
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "evcorothread/tls_socket.h"
#include "nutils/socket_ops.h"
#include "test/evcorothread/tls_fixture.h"

#include "test/support/harness.h"

using namespace test_support;

namespace {

class OldErrorsFixture : public ShakenTlsFixture {
  public:
    void setup() override {
        ShakenTlsFixture::setup();
        leave_some();
    }
    void teardown() override { ERR_clear_error(); }

    static void leave_some() {
        ERR_raise(ERR_LIB_PEM, PEM_R_NO_START_LINE);
        ERR_raise(ERR_LIB_EVP, EVP_R_BAD_DECRYPT);
    }
    // The next record to the server, with its last bit changed.
    void change_what_comes() const {
        std::string record = stolen();
        record.back() = static_cast<char>(record.back() ^ 1);
        CHECK_EQUAL(record.size(), nutils::send_some(client.fd(), record).bytes);
    }
};

}  // namespace

TEST_GROUP_BASE(TlsOldErrors, OldErrorsFixture){};

TEST(TlsOldErrors, HavingToWaitIsNotOne) {
    CHECK(server.try_recv(buffer).would_block());
    in_coroutine([&] {
        CHECK(client.send_all("hello", 1s));
        CHECK_EQUAL("hello", received(server, 1s));
    });
}

TEST(TlsOldErrors, AnEndIsAnEnd) {
    in_coroutine([&] {
        client.close();
        leave_some();
        CHECK(server.recv(buffer, 1s).eof());
    });
}

TEST(TlsOldErrors, WhatWasCutOffIsTruncated) {
    in_coroutine([&] {
        client.abort();
        leave_some();
        CHECK(server.recv(buffer, 1s).error == NetError::truncated);
    });
}

TEST(TlsOldErrors, AFailureHasItsOwnWordsOnBothSides) {
    in_coroutine([&] {
        CHECK(client.send_all("a record", 1s));
        change_what_comes();
        leave_some();
        CHECK_EQUAL("<decryption failed or bad record mac>", received(server, 1s));
        leave_some();
        CHECK_EQUAL("<sslv3 alert bad record mac>", received(client, 1s));
        CHECK_EQUAL(0, ERR_peek_error());
    });
}

TEST(TlsOldErrors, SendingAfterAFailureSaysWhatFailed) {
    in_coroutine([&] {
        CHECK(client.send_all("a record", 1s));
        change_what_comes();
        CHECK_EQUAL("<decryption failed or bad record mac>", received(server, 1s));
        leave_some();
        CHECK_EQUAL("decryption failed or bad record mac", server.send("more", 1s).error.message());
    });
}

TEST(TlsOldErrors, AHandshakeHasItsOwnWords) {
    client_options.ca_file = Authority(folder, "another").file();
    Handshake refused;
    shake_hands(refused, TlsContext::server(server_options).value(),
                TlsContext::client(client_options).value());
    CHECK(refused.client.error() == TlsError::certificate_refused);
    CHECK(refused.server.error() == TlsError::refused_by_peer);
}
