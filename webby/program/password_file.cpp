#include "webby/program/password_file.h"

#include <crypt.h>
#include <string.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <system_error>
#include <utility>

#include "cutils/scope_exit.h"
#include "evcorothread/offload.h"
#include "webby/constant_time.h"

namespace webby::program {
namespace {

// Is this the password behind the hash? Takes as long as the hash wants.
bool fits(const std::string& password, const std::string& hash) {
    const auto memory = std::make_unique<crypt_data>();  // 32 KiB: nothing for a stack
    const char* const made = ::crypt_r(password.c_str(), hash.c_str(), memory.get());
    const bool right = made != nullptr && made[0] != '*' && equal_in_constant_time(made, hash);
    ::explicit_bzero(memory.get(), sizeof *memory);
    return right;
}

// With what an offloaded call can outlive its caller by.
struct Question {
    std::string password, hash;
};

bool is_base64(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= '.' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    });
}

// crypt_checksalt() looks at the scheme alone; that the whole is there, we have to see ourselves.
bool is_strong(const std::string& hash) {
    const std::string_view text(hash);
    if (::crypt_checksalt(hash.c_str()) != CRYPT_SALT_OK) return false;
    if (text.starts_with("$2b$") || text.starts_with("$2y$"))
        return text.size() == 60 && text[6] == '$' && text.substr(4, 2) >= "04" &&
               text.substr(4, 2) <= "31" && is_base64(text.substr(7));
    const std::string_view made = text.substr(text.rfind('$') + 1);
    const std::size_t length = text.starts_with("$6$")                              ? 86
                               : text.starts_with("$5$") || text.starts_with("$y$") ? 43
                                                                                    : 0;
    return length > 0 && made.size() == length && is_base64(made);
}

struct User {
    std::string hash;
    std::optional<std::string> last_right{};
};
using UserMap = std::map<std::string, User, std::less<>>;

cutils::Result<UserMap> read_users(const std::string& path) {
    errno = 0;
    std::ifstream file(path);
    if (!file) return cutils::Error::from_errno(path);
    UserMap users;
    std::string line;
    for (int number = 1; std::getline(file, line); ++number) {
        if (line.ends_with('\r')) line.pop_back();
        if (line.empty() || line.starts_with('#')) continue;
        const auto wrong = [&](const char* why) {
            return cutils::Error(std::make_error_code(std::errc::invalid_argument),
                                 path + ":" + std::to_string(number) + ": " + why);
        };
        const std::size_t colon = line.find(':');
        if (colon == std::string::npos || colon == 0) return wrong("not NAME:HASH");
        const std::string hash = line.substr(colon + 1);
        if (!is_strong(hash))
            return wrong(
                "not a hash that is trusted: bcrypt (htpasswd -B), yescrypt, SHA-512 or SHA-256 of crypt(3)");
        if (!users.emplace(line.substr(0, colon), User{hash}).second)
            return wrong("that name is there twice");
    }
    if (file.bad()) return cutils::Error::from_errno(path);
    if (users.empty())
        return cutils::Error(std::make_error_code(std::errc::invalid_argument), path + ": nobody is in it");
    return users;
}

}  // namespace

struct PasswordFile::Users {
    const std::string path;
    std::unique_ptr<evcorothread::OffloadPool> pool;  // null: here
    std::mutex mutex;                                 // of what follows
    UserMap all;

    // The hash to compare with; for nobody, one that takes as long. Empty: `password` is what it was.
    std::string hash_of(std::string_view user, std::string_view password) {
        const std::lock_guard lock(mutex);
        const auto found = all.find(user);
        if (found == all.end()) return all.begin()->second.hash;
        const std::optional<std::string>& last = found->second.last_right;
        return last && equal_in_constant_time(password, *last) ? "" : found->second.hash;
    }
    // Was it that user's hash, and is it still?
    bool remember(std::string_view user, const std::string& hash, std::string_view password) {
        const std::lock_guard lock(mutex);
        const auto found = all.find(user);
        if (found == all.end() || found->second.hash != hash) return false;
        found->second.last_right = password;
        return true;
    }
};

cutils::Result<PasswordFile> PasswordFile::read(const std::string& path, PasswordCheck how) {
    cutils::Result<UserMap> all = read_users(path);
    if (!all) return all.error();
    auto pool =
        how == PasswordCheck::here
            ? nullptr
            : std::make_unique<evcorothread::OffloadPool>(evcorothread::OffloadOptions{.name = "passwords"});
    return PasswordFile(std::shared_ptr<Users>(new Users{path, std::move(pool), {}, *std::move(all)}));
}

cutils::Result<void> PasswordFile::reload() const {
    cutils::Result<UserMap> fresh = read_users(users_->path);
    if (!fresh) return fresh.error();
    const std::lock_guard lock(users_->mutex);
    for (auto& [name, user] : *fresh)
        if (const auto old = users_->all.find(name);
            old != users_->all.end() && old->second.hash == user.hash)
            user.last_right = old->second.last_right;
    users_->all = *std::move(fresh);
    return {};
}

bool PasswordFile::check(std::string_view user, std::string_view password) const {
    if (password.find('\0') != std::string_view::npos) return false;  // crypt(3) would stop there
    Question question{std::string(password), users_->hash_of(user, password)};
    if (question.hash.empty()) return true;
    const std::string hash = question.hash;
    bool right = false;
    if (users_->pool == nullptr) {
        right = fits(question.password, question.hash);
    } else {
        const auto answer = evcorothread::offload(
            *users_->pool,
            [question = std::move(question)] { return fits(question.password, question.hash); },
            cutils::Deadline::never);
        right = answer.ok() && *answer;
    }
    return right && users_->remember(user, hash, password);
}

}  // namespace webby::program
