// chart: draws what compare.sh has measured.
//
//   chart <compare.tsv >compare.svg
//
// A line of input is one server under one load: NAME CLIENTS SERVED PER_SECOND P99_US MEMORY_KIB CPU_US,
// separated by tabs. Four panels, one below the other and as wide as a phone, without any font, script or
// picture from elsewhere. Colours follow the reader's light or dark mode. What did not serve all of its
// clients is not drawn: the latency of those who were lucky says nothing.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <iostream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace {

struct Point {
    double clients, value;
};
struct Server {
    std::string name;
    double most_served = 0;  // the largest load under which all clients were served
    bool complete = true;    // never was a client left out
    std::map<std::string, std::vector<Point>> lines;
};

constexpr const char* kMetrics[] = {"per_second", "p99_us", "memory_kib", "cpu_us"};
// Distinguishable with any kind of colour vision (Okabe and Ito), darkened a little where white is near.
constexpr const char* kColours[] = {"#8a8a8a", "#d55e00", "#e69f00", "#b8579a",
                                    "#4aa3d8", "#0a8f6a", "#2458c5"};

std::vector<Server> read_servers(std::istream& in) {
    std::vector<Server> servers;
    for (std::string line; std::getline(in, line);) {
        std::istringstream fields(line);
        std::string name;
        double clients = 0, served = 0;
        if (!(fields >> name >> clients >> served)) continue;
        auto server =
            std::find_if(servers.begin(), servers.end(), [&](const Server& s) { return s.name == name; });
        if (server == servers.end()) {
            servers.push_back({.name = name, .lines = {}});
            server = servers.end() - 1;
        }
        if (served < clients) {
            server->complete = false;
            continue;
        }
        server->most_served = std::max(server->most_served, clients);
        std::string value;
        for (const char* metric : kMetrics)
            if (fields >> value && value != "-") server->lines[metric].push_back({clients, std::stod(value)});
    }
    return servers;
}

// --- numbers as people read them ---

std::string with_unit(double value, const char* unit) {
    char text[64];
    std::snprintf(text, sizeof text, "%.3g%s", value, unit);
    return text;
}
std::string count(double n) {
    return n >= 1e6 ? with_unit(n / 1e6, "M") : n >= 1e3 ? with_unit(n / 1e3, "k") : with_unit(n, "");
}
std::string duration(double us) {
    return us >= 1e6   ? with_unit(us / 1e6, " s")
           : us >= 1e3 ? with_unit(us / 1e3, " ms")
                       : with_unit(us, " µs");
}
std::string memory(double kib) {
    return kib >= 1024 * 1024 ? with_unit(kib / 1024 / 1024, " GiB")
           : kib >= 1024      ? with_unit(kib / 1024, " MiB")
                              : with_unit(kib, " KiB");
}

// --- a panel ---

constexpr double kWidth = 420, kLeft = 56, kRight = 96, kPanel = 266, kPlotTop = 44, kPlot = 180, kTop = 74;

// Where values are on the paper: from the bottom up, linear from 0 or logarithmic.
struct Scale {
    bool logarithmic;
    double low, high;
    std::vector<double> ticks{};

    [[nodiscard]] double part(double value) const {
        return logarithmic ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
    }
};

// 1, 2 or 5 times a power of ten, so that about four steps reach `most`.
double round_step(double most) {
    const double power = std::pow(10, std::floor(std::log10(most / 4)));
    for (const double times : {1.0, 2.0, 5.0})
        if (most / (power * times) <= 5) return power * times;
    return power * 10;
}

Scale linear_scale(double most) {
    const double step = round_step(most);
    Scale scale{false, 0, step * std::ceil(most / step)};
    for (double tick = 0; tick <= scale.high * 1.0001; tick += step) scale.ticks.push_back(tick);
    return scale;
}

// `unit`: a tick stands at this number times powers of `base`.
Scale log_scale(double least, double most, double unit, double base) {
    const auto power = [&](double value) { return std::log(value / unit) / std::log(base); };
    const double low = std::floor(power(least) + 1e-9),
                 high = std::max(std::ceil(power(most) - 1e-9), low + 1);
    Scale scale{true, unit * std::pow(base, low), unit * std::pow(base, high)};
    for (double p = low; p <= high; ++p) scale.ticks.push_back(unit * std::pow(base, p));
    return scale;
}

double x_of(double clients, double most) {
    const double width = kWidth - kLeft - kRight;
    return kLeft + 6 + (most > 1 ? std::log(clients) / std::log(most) : 0) * (width - 12);
}
double y_of(const Scale& scale, double value) { return kPlotTop + kPlot * (1 - scale.part(value)); }

void text(double x, double y, const char* attributes, const std::string& words) {
    std::printf("<text x=\"%.1f\" y=\"%.1f\" %s>%s</text>\n", x, y, attributes, words.c_str());
}

// The names stand right of the plot, each as near to the end of its line as the others allow.
struct Name {
    const Server* server;
    std::size_t colour;
    double x, y, wanted;
};
void draw_names(std::vector<Name>& names) {
    constexpr double kStep = 15;
    std::stable_sort(names.begin(), names.end(),
                     [](const Name& a, const Name& b) { return a.wanted < b.wanted; });
    double least = kPlotTop;
    for (Name& name : names) {
        name.y = std::max(name.wanted, least);
        least = name.y + kStep;
    }
    double most = kPlotTop + kPlot;
    for (auto name = names.rbegin(); name != names.rend(); ++name) {
        name->y = std::min(name->y, most);
        most = name->y - kStep;
    }
    for (const Name& name : names) {
        const double x = kWidth - kRight + 2;
        if (name.server->complete)
            std::printf("<path class=\"hint\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n", name.x + 4, name.wanted, x + 3,
                        name.y);
        char attributes[96];
        std::snprintf(attributes, sizeof attributes, "class=\"name c%zu\"", name.colour);
        text(x + 6, name.y + 4, attributes, name.server->name);
    }
}

void draw_line(const std::vector<Point>& points, const Scale& scale, double most_clients,
               std::size_t colour) {
    std::printf("<polyline class=\"line l%zu\" points=\"", colour);
    for (const Point& point : points)
        std::printf("%.1f,%.1f ", x_of(point.clients, most_clients), y_of(scale, point.value));
    std::printf("\"/>\n");
    for (const Point& point : points)
        std::printf("<circle class=\"d%zu\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.2\"/>\n", colour,
                    x_of(point.clients, most_clients), y_of(scale, point.value));
}

struct Panel {
    const char* metric;
    const char* title;
    const char* better;
    std::function<std::string(double)> label;
    std::function<Scale(double least, double most)> scale;
};

void draw_panel(const Panel& panel, double top, const std::vector<Server>& servers,
                const std::vector<double>& loads) {
    double least = HUGE_VAL, most = 0;
    for (const Server& server : servers) {
        const auto line = server.lines.find(panel.metric);
        if (line == server.lines.end()) continue;
        for (const Point& point : line->second)
            least = std::min(least, point.value), most = std::max(most, point.value);
    }
    std::printf("<g transform=\"translate(0 %.0f)\">\n", top);
    text(8, 16, "class=\"title\"", panel.title);
    text(8, 31, "class=\"small\"", panel.better);
    if (most <= 0) {
        text(kLeft, kPlotTop + 40, "class=\"small\"", "not measured");
        std::printf("</g>\n");
        return;
    }
    const Scale scale = panel.scale(least, most);
    for (const double tick : scale.ticks) {
        const double y = y_of(scale, tick);
        std::printf("<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>\n", kLeft, y, kWidth - kRight);
        text(kLeft - 5, y + 4, "class=\"small end\"", panel.label(tick));
    }
    for (const double load : loads)
        text(x_of(load, loads.back()), kPlotTop + kPlot + 16, "class=\"small mid\"", count(load));
    std::vector<Name> names;
    for (std::size_t i = 0; i < servers.size(); ++i) {
        const auto line = servers[i].lines.find(panel.metric);
        if (line == servers[i].lines.end()) continue;
        const std::size_t colour = i % std::size(kColours);
        draw_line(line->second, scale, loads.back(), colour);
        const Point& last = line->second.back();
        const double y = y_of(scale, last.value);
        names.push_back({&servers[i], colour, x_of(last.clients, loads.back()), y, y});
    }
    draw_names(names);
    text((kLeft + kWidth - kRight) / 2, kPlotTop + kPlot + 31, "class=\"small mid\"", "clients");
    std::printf("</g>\n");
}

void draw_style(const std::vector<Server>& servers) {
    std::printf(
        "<style>\n"
        ":root{color-scheme:light dark}\n"
        "text{font-family:system-ui,sans-serif;font-size:13px;fill:#222}\n"
        ".head{font-size:17px;font-weight:600}.title{font-weight:600;font-size:14px}.small{font-size:12px;"
        "fill:#555}\n"
        ".end{text-anchor:end}.mid{text-anchor:middle}\n"
        ".paper{fill:#fff}.grid{stroke:#ddd;fill:none}.hint{stroke:#bbb;stroke-width:.7;fill:none}\n"
        ".line{fill:none;stroke-width:1.8;stroke-linejoin:round}\n");
    for (std::size_t i = 0; i < std::min(servers.size(), std::size(kColours)); ++i) {
        const bool ours = servers[i].name == "coroutines";
        std::printf(".l%zu{stroke:%s;%s}.d%zu,.c%zu{fill:%s}.c%zu{%s}\n", i, kColours[i],
                    ours ? "stroke-width:3" : "", i, i, kColours[i], i, ours ? "font-weight:600" : "");
    }
    std::printf(
        "@media(prefers-color-scheme:dark){.paper{fill:#16181c}text{fill:#e8e8e8}.small{fill:#a8a8a8}.grid{"
        "stroke:#33373d}"
        ".hint{stroke:#555}.c6{fill:#7ea6ff}.l6{stroke:#7ea6ff}.d6{fill:#7ea6ff}}\n"
        "</style>\n");
}

}  // namespace

int main() {
    const std::vector<Server> servers = read_servers(std::cin);
    std::vector<double> loads;
    for (const Server& server : servers) {
        const auto line = server.lines.find("per_second");
        if (line == server.lines.end()) continue;
        for (const Point& point : line->second) loads.push_back(point.clients);
    }
    std::sort(loads.begin(), loads.end());
    loads.erase(std::unique(loads.begin(), loads.end()), loads.end());
    if (loads.empty()) {
        std::fprintf(stderr, "chart: nothing to draw\n");
        return 1;
    }
    std::vector<std::string> notes;
    for (const Server& server : servers)
        if (!server.complete)
            notes.push_back(server.most_served > 0
                                ? server.name + ": not all served beyond " + count(server.most_served) +
                                      (server.most_served > 1 ? " clients" : " client")
                                : server.name + ": never served all");

    const Panel panels[] = {
        {"per_second", "Answers a second", "higher is better", count,
         [](double, double most) { return linear_scale(most); }},
        {"p99_us", "Latency, 99th percentile", "lower is better; each step is ten times the one below",
         duration, [](double least, double most) { return log_scale(least, most, 1, 10); }},
        {"memory_kib", "Memory of the server (PSS)", "lower is better; each step is four times the one below",
         memory, [](double least, double most) { return log_scale(least, most, 1, 4); }},
        {"cpu_us", "CPU time of the server for one answer", "lower is better", duration,
         [](double, double most) { return linear_scale(most); }},
    };
    const double notes_top = kTop + kPanel * static_cast<double>(std::size(panels)) + 16;
    const double height = notes_top + 16 * static_cast<double>(notes.size());
    std::printf(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"100%%\" "
        "style=\"max-width:640px\" role=\"img\" aria-label=\"Echo servers compared\">\n",
        kWidth, height);
    draw_style(servers);
    std::printf("<rect class=\"paper\" width=\"%.0f\" height=\"%.0f\"/>\n", kWidth, height);
    text(8, 24, "class=\"head\"",
         "One echo, " + std::to_string(servers.size()) + (servers.size() == 1 ? " server" : " servers"));
    text(8, 42, "class=\"small\"", "Lines of 64 bytes to and fro, every client all the time;");
    text(8, 58, "class=\"small\"", "the server on one core, the load on another.");
    double top = kTop;
    for (const Panel& panel : panels) {
        draw_panel(panel, top, servers, loads);
        top += kPanel;
    }
    for (std::size_t i = 0; i < notes.size(); ++i)
        text(8, notes_top + 16 * static_cast<double>(i), "class=\"small\"", notes[i]);
    std::printf("</svg>\n");
}
