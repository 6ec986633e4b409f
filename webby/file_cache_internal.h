// FileCache: the files that were asked for lately. Internal.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "webby/served_file_internal.h"

namespace webby {

// Remembers; whether a file is still what it was is for the caller to find out. Threads have a shard each, as
// long as there are no more of them than shards, so that they do not wait for one another. A shard has two
// generations: when the young one is full, the old one is forgotten, so what is asked for often stays.
//
// Any thread.
class FileCache {
  public:
    using Entry = std::shared_ptr<const ServedFile>;

    // Null when it is not remembered.
    [[nodiscard]] Entry find(std::string_view key);
    void put(std::string_view key, Entry file);

    static constexpr std::size_t kEntries = 512;            // of a generation …
    static constexpr std::size_t kBytes = 2 * 1024 * 1024;  // … and of contents, about
    static constexpr std::size_t kShards = 8;

  private:
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view key) const { return std::hash<std::string_view>()(key); }
    };
    using Map = std::unordered_map<std::string, Entry, Hash, std::equal_to<>>;
    struct alignas(64) Shard {
        std::mutex mutex;
        Map young, old;
        std::size_t bytes = 0;  // of the young
        void add(std::string_view key, Entry file);
    };

    [[nodiscard]] Shard& mine();
    std::array<Shard, kShards> shards_;
};

}  // namespace webby
