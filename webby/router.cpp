#include "webby/router.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "webby/ascii.h"

namespace webby {
namespace {

cutils::Error bad_pattern(std::string_view pattern, const char* why) {
    return {std::make_error_code(std::errc::invalid_argument),
            std::string("route \"").append(pattern).append("\": ").append(why)};
}

// Not strong, and need not be: the table holds what the application registered, a client can only look things
// up.
inline std::size_t hash_path(std::string_view path) {
    std::uint64_t first = 0, last = 0;
    const std::size_t size = path.size();
    if (size >= 8) {
        std::memcpy(&first, path.data(), 8);
        std::memcpy(&last, path.data() + size - 8, 8);
    } else if (size >= 4) {
        std::memcpy(&first, path.data(), 4);
        std::memcpy(&last, path.data() + size - 4, 4);
    } else {
        for (const char c : path) first = first << 8 | static_cast<unsigned char>(c);
    }
    std::uint64_t hash = (first ^ (size << 56)) * 0x9E3779B97F4A7C15u;
    hash ^= (hash >> 32) ^ last;
    hash *= 0xD6E8FEB86659FD93u;
    return static_cast<std::size_t>(hash ^ (hash >> 32));
}

}  // namespace

// One pattern with what answers its methods.
struct Router::Route {
    std::string pattern;
    std::vector<std::string> names;  // of its parameters, in order
    std::array<std::optional<Endpoint>, kMethodCount> endpoints;
    MethodSet methods;

    [[nodiscard]] const Endpoint* endpoint(Method method) const {
        if (method == Method::other) return nullptr;
        const auto& own = endpoints[static_cast<std::size_t>(method)];
        if (own) return &*own;
        return method == Method::head ? endpoint(Method::get) : nullptr;
    }
};

// The tree of segments. "/" has the one segment "", "/a/" has "a" and "".
struct Router::Node {
    std::vector<std::pair<std::string, std::unique_ptr<Node>>> fixed;
    std::unique_ptr<Node> param;
    Route* here = nullptr;  // a pattern ends here
    Route* rest = nullptr;  // a pattern goes on with "*name"

    [[nodiscard]] Node* find(std::string_view segment) const {
        for (const auto& [name, node] : fixed)
            if (name == segment) return node.get();
        return nullptr;
    }
    Node& child(std::string_view segment) {
        if (Node* known = find(segment)) return *known;
        return *fixed.emplace_back(segment, std::make_unique<Node>()).second;
    }
};

// A depth-first walk with its own stack. The best fit that has the method ends it; on the way it collects
// what the other fits allow.
class Router::Walk {
  public:
    Walk(const Node& root, Method method, std::string_view path, RouteParams& params)
        : method_(method), path_(path), params_(params) {
        frames_[0] = {&root, 0, 0, 0};
    }

    Match run() {
        while (depth_ > 0) {
            Frame& frame = frames_[depth_ - 1];
            if (step(frame)) return match_;
        }
        return match_;
    }

  private:
    struct Frame {
        const Node* node;
        std::size_t at;  // what is left of the path; begins with "/" or is empty
        std::uint8_t values;
        std::uint8_t choice;
    };

    bool step(Frame& frame) {
        if (frame.at == path_.size()) return leave_with(frame.node->here);
        const std::size_t begin = frame.at + 1;
        const std::size_t end = std::min(path_.find('/', begin), path_.size());
        const std::string_view segment = path_.substr(begin, end - begin);
        switch (frame.choice++) {
            case 0: enter(frame.node->find(segment), end, frame.values); return false;
            case 1:
                if (segment.empty() || frame.node->param == nullptr) return false;
                params_.set_value(frame.values, segment);
                enter(frame.node->param.get(), end, static_cast<std::uint8_t>(frame.values + 1));
                return false;
            default:
                if (frame.node->rest != nullptr) params_.set_value(frame.values, path_.substr(begin));
                return leave_with(frame.node->rest);
        }
    }

    void enter(const Node* node, std::size_t at, std::uint8_t values) {
        if (node != nullptr) frames_[depth_++] = {node, at, values, 0};
    }

    bool leave_with(const Route* route) {
        --depth_;
        if (route == nullptr) return false;
        match_.endpoint = route->endpoint(method_);
        if (match_.endpoint == nullptr) {
            match_.allowed.add(route->methods);
            return false;
        }
        params_.set_names(route->names);
        return true;
    }

    Method method_;
    std::string_view path_;
    RouteParams& params_;
    Match match_;
    std::array<Frame, kMaxSegments + 1> frames_;  // the tree is at most that deep
    std::size_t depth_ = 1;
};

Router::Router() : root_(std::make_unique<Node>()) {}
Router::~Router() = default;
Router::Router(Router&&) noexcept = default;
Router& Router::operator=(Router&&) noexcept = default;

cutils::Result<void> Router::add(Method method, std::string_view pattern, std::unique_ptr<Servlet> servlet,
                                 RouteOptions options) {
    if (!pattern.starts_with('/')) return bad_pattern(pattern, "a pattern begins with \"/\"");
    if (method == Method::other || method == Method::connect)
        return bad_pattern(pattern, "no route for this method");

    std::vector<std::string> names;
    Node* node = root_.get();
    Route** place = nullptr;
    std::size_t segments = 0;
    for (std::size_t at = 0; at < pattern.size();) {
        const std::size_t end = std::min(pattern.find('/', at + 1), pattern.size());
        const std::string_view segment = pattern.substr(at + 1, end - at - 1);
        const bool last = end == pattern.size();
        if (++segments > kMaxSegments) return bad_pattern(pattern, "too many segments");
        if ((segment.empty() && !last) || segment == "." || segment == "..")
            return bad_pattern(pattern, "no path looks like this once it is normalised");
        const bool is_rest = segment.starts_with('*');
        if (is_rest || segment.starts_with(':')) {
            const std::string_view name = segment.substr(1);
            if (name.empty()) return bad_pattern(pattern, "a parameter needs a name");
            if (is_rest && !last) return bad_pattern(pattern, "\"*\" only as the last segment");
            if (std::find(names.begin(), names.end(), name) != names.end())
                return bad_pattern(pattern, "two parameters of one name");
            if (names.size() == kMaxRouteParams) return bad_pattern(pattern, "too many parameters");
            names.emplace_back(name);
        }
        if (is_rest) {
            place = &node->rest;
        } else if (segment.starts_with(':')) {
            if (!node->param) node->param = std::make_unique<Node>();
            node = node->param.get();
        } else {
            node = &node->child(segment);
        }
        at = end;
    }
    if (place == nullptr) place = &node->here;

    if (*place == nullptr) {
        *place = routes_.emplace_back(std::make_unique<Route>()).get();
        (*place)->pattern = pattern;
        (*place)->names = std::move(names);
        if ((*place)->names.empty()) remember_fixed(**place);
    }
    Route& route = **place;
    std::optional<Endpoint>& endpoint = route.endpoints[static_cast<std::size_t>(method)];
    if (endpoint || route.pattern != pattern)
        return cutils::Error(
            std::make_error_code(std::errc::file_exists),
            std::string("route \"").append(pattern).append("\": \"") + route.pattern + "\" is there already");
    endpoint.emplace(Endpoint{std::move(servlet), options});
    route.methods.add(method);
    all_methods_.add(method);
    return {};
}

inline const Router::Route* Router::find_fixed(std::string_view path) const {
    if (fixed_.empty()) return nullptr;
    const std::size_t hash = hash_path(path);
    for (std::size_t i = hash;; ++i) {
        const Slot& slot = fixed_[i & (fixed_.size() - 1)];
        if (slot.route == nullptr) return nullptr;
        if (slot.hash == hash && ascii::same_bytes(slot.route->pattern, path)) return slot.route;
    }
}

void Router::remember_fixed(Route& route) {
    const auto insert = [this](Slot slot) {
        std::size_t i = slot.hash;
        while (fixed_[i & (fixed_.size() - 1)].route != nullptr) ++i;
        fixed_[i & (fixed_.size() - 1)] = slot;
    };
    if (++fixed_count_ * 2 > fixed_.size()) {
        std::vector<Slot> old(std::max<std::size_t>(8, fixed_.size() * 2));
        old.swap(fixed_);
        for (const Slot& slot : old)
            if (slot.route != nullptr) insert(slot);
    }
    insert({hash_path(route.pattern), &route});
}

Router::Match Router::find(Method method, std::string_view path, RouteParams& params) const {
    params.clear();
    if (const Route* route = find_fixed(path))
        if (const Endpoint* endpoint = route->endpoint(method)) return {endpoint, {}};
    return find_in_tree(method, path, params);
}

// Apart, so that the walk's frames do not burden find().
[[gnu::noinline]] Router::Match Router::find_in_tree(Method method, std::string_view path,
                                                     RouteParams& params) const {
    if (!path.starts_with('/')) return {};
    return Walk(*root_, method, path, params).run();
}

std::string allow_value(MethodSet methods) {
    if (methods.has(Method::get)) methods.add(Method::head);
    methods.add(Method::options);
    std::string value;
    for (std::size_t i = 0; i < kMethodCount; ++i) {
        const auto method = static_cast<Method>(i);
        if (!methods.has(method)) continue;
        if (!value.empty()) value += ", ";
        value += to_string(method);
    }
    return value;
}

}  // namespace webby
