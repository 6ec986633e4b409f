// PasswordFile: users and the hashes of their passwords, as crypt(3) knows them.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "cutils/result.h"

namespace webby::program {

// Hashes of passwords are made to be slow. Where that is done: on the thread that asks, or on a few others
// while the coroutine that asks waits.
enum class PasswordCheck { here, elsewhere };

// Lines "NAME:HASH"; blank ones, and those that begin with "#", are skipped. A HASH is what crypt(3) takes:
// bcrypt ($2b$, $2y$: `htpasswd -B`), yescrypt ($y$), SHA-512 ($6$), SHA-256 ($5$: `mkpasswd`). What is weak
// ({SHA}, $apr1$, $1$, DES, plain text) is refused, not trusted.
//
// What was right the last time is remembered, in memory, so that a client that sends its password with every
// request costs one slow hash, not one a request. An unknown name takes as long as a wrong password.
//
// A value; copies share what they know, so reload() is for all of them. Thread: any.
class PasswordFile {
  public:
    // Errors: of open(2); errc::invalid_argument for a line, which is named.
    [[nodiscard]] static cutils::Result<PasswordFile> read(const std::string& path, PasswordCheck how);

    // Reads the file again; who is logged in and still in it notices nothing.
    // Errors: as read(), and then the old users stay.
    [[nodiscard]] cutils::Result<void> reload() const;

    // Suspends: with PasswordCheck::elsewhere. Cost: that of the hash, unless it is what it was last time.
    [[nodiscard]] bool check(std::string_view user, std::string_view password) const;

  private:
    struct Users;
    explicit PasswordFile(std::shared_ptr<Users> users) : users_(std::move(users)) {}
    std::shared_ptr<Users> users_;
};

}  // namespace webby::program
