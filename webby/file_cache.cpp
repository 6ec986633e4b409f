#include <thread>
#include <utility>

#include "webby/file_cache_internal.h"

namespace webby {

FileCache::Shard& FileCache::mine() {
    return shards_[std::hash<std::thread::id>()(std::this_thread::get_id()) % kShards];
}

FileCache::Entry FileCache::find(std::string_view key) {
    Shard& shard = mine();
    const std::lock_guard lock(shard.mutex);
    if (const auto found = shard.young.find(key); found != shard.young.end()) return found->second;
    const auto found = shard.old.find(key);
    if (found == shard.old.end()) return nullptr;
    Entry file = std::move(found->second);
    shard.old.erase(found);
    shard.add(key, file);
    return file;
}

void FileCache::put(std::string_view key, Entry file) {
    Shard& shard = mine();
    const std::lock_guard lock(shard.mutex);
    shard.add(key, std::move(file));
}

void FileCache::Shard::add(std::string_view key, Entry file) {
    const std::size_t size = file->content.size();
    if (young.size() >= kEntries || bytes + size > kBytes) {
        old = std::exchange(young, {});
        bytes = 0;
    }
    bytes += size;  // what is replaced still counts: an estimate
    young.insert_or_assign(std::string(key), std::move(file));
}

}  // namespace webby
