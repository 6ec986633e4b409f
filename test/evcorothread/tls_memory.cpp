#include "test/evcorothread/tls_memory.h"

#include <openssl/crypto.h>

#include <atomic>
#include <cstdlib>

namespace test_support {
namespace {

std::atomic<long> g_blocks{0};
thread_local std::size_t g_until_failure = 0;  // 0: never
thread_local bool g_failed = false;

bool must_fail() {
    if (g_until_failure == 0 || --g_until_failure > 0) return false;
    g_failed = true;
    return true;
}

void* allocate(std::size_t size, const char*, int) {
    if (size == 0 || must_fail()) return nullptr;
    ++g_blocks;
    return std::malloc(size);
}
void release(void* block, const char*, int) {
    if (block == nullptr) return;
    --g_blocks;
    std::free(block);
}
void* reallocate(void* block, std::size_t size, const char* file, int line) {
    if (block == nullptr) return allocate(size, file, line);
    if (size == 0) {
        release(block, file, line);
        return nullptr;
    }
    return must_fail() ? nullptr : std::realloc(block, size);
}

// Before OpenSSL allocates anything: later it would not take them.
[[gnu::constructor]] void install() {
    if (CRYPTO_set_mem_functions(allocate, reallocate, release) != 1) std::abort();
}

}  // namespace

OpensslMemory::OpensslMemory() { stop(); }
OpensslMemory::~OpensslMemory() { stop(); }
void OpensslMemory::fail_nth(std::size_t n) {
    g_failed = false;
    g_until_failure = n;
}
void OpensslMemory::stop() { g_until_failure = 0; }
bool OpensslMemory::failed() const { return g_failed; }
long OpensslMemory::blocks() { return g_blocks; }

}  // namespace test_support
