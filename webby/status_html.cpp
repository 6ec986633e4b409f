// The parts of the status page that never change: how it looks, what stands where, what moves it.
#include "webby/status_page_internal.h"

namespace webby {

const std::string_view kStatusStyle = R"css(
:root{color-scheme:light dark;--bg:#f3f4f6;--card:#fff;--line:#e2e5ea;--text:#15181e;--dim:#667085;
--a:#2563eb;--b:#d97706;--c:#dc2626;--d:#059669;--grid:#eceef2}
@media (prefers-color-scheme:dark){:root{--bg:#0e1116;--card:#171b22;--line:#262c36;--text:#e6e9ef;--dim:#8b95a5;
--a:#5b9dff;--b:#f0a94a;--c:#ff6b6b;--d:#3ecf8e;--grid:#20262f}}
*{box-sizing:border-box}
body{margin:0;padding:20px clamp(12px,2.5vw,32px) 40px;background:var(--bg);color:var(--text);
font:14px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;font-variant-numeric:tabular-nums}
header{display:flex;flex-wrap:wrap;align-items:baseline;gap:4px 14px;margin:0 2px 14px}
h1{font-size:20px;margin:0;letter-spacing:-.01em}
header p{margin:0;color:var(--dim)}
.live{margin-left:auto!important;display:flex;align-items:center;gap:7px}
.live::before{content:"";width:8px;height:8px;border-radius:50%;background:var(--dim)}
.live.on::before{background:var(--d);box-shadow:0 0 0 3px color-mix(in srgb,var(--d) 22%,transparent)}
.live.off::before{background:var(--c)}
.live:empty{display:none}
.grid{display:grid;gap:12px;grid-template-columns:repeat(auto-fill,minmax(min(260px,100%),1fr))}
.wide{margin-top:12px;grid-template-columns:repeat(auto-fit,minmax(min(350px,100%),1fr));align-items:start}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 14px 10px;min-width:0}
.card h2{margin:0;font-size:12px;font-weight:600;color:var(--dim)}
.big{font-size:25px;font-weight:650;letter-spacing:-.02em;line-height:1.25}
.big small{font-size:14px;font-weight:500;color:var(--dim);letter-spacing:0}
.sub{color:var(--dim);font-size:12px;min-height:18px;display:flex;flex-wrap:wrap;gap:0 10px}
.sub span::before{content:"";display:inline-block;width:8px;height:8px;border-radius:2px;margin-right:5px;background:var(--k)}
.sub .k0{--k:var(--a)}.sub .k1{--k:var(--b)}.sub .k2{--k:var(--c)}.sub .k3{--k:var(--d)}
.sub .kn::before{display:none}
canvas{display:block;width:100%;height:92px;margin-top:6px;touch-action:pan-y}
.tables h2{margin-bottom:6px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%}
th,td{padding:4px 8px 4px 0;text-align:right;font-weight:400;border-top:1px solid var(--line);white-space:nowrap}
thead th{border-top:0;color:var(--dim);font-size:12px}
th:first-child,td:first-child,.l{text-align:left}
table td.w{white-space:normal;overflow-wrap:anywhere;text-align:left;color:var(--dim);font-size:12px}
meter,.bar{display:block;height:5px;border-radius:3px;background:var(--grid);margin-top:3px;overflow:hidden}
.bar svg{display:block;width:100%;height:5px}
.bar rect{fill:var(--a)}
.none{color:var(--dim)}
th:last-child,td:last-child{padding-right:0}
.plain{max-width:720px;background:var(--card);border:1px solid var(--line)}
.plain th,.plain td{padding:4px 12px}
.plain caption{text-align:left;color:var(--dim);padding:0 0 6px}
[hidden]{display:none!important}
@media (max-width:520px){.scroll th,.scroll td{padding-right:6px}.grid:not(.wide){grid-template-columns:1fr 1fr;gap:8px}
.card{padding:10px 10px 8px}.big{font-size:20px}canvas{height:64px}.live{margin-left:0!important;width:100%}}
)css";

const std::string_view kStatusBody = R"html(<main id=live-page hidden>
<div id=charts class=grid></div>
<div class="grid wide tables">
<section class=card><h2>Loops</h2><div class=scroll><table><thead><tr><th>loop</th><th>in use</th><th>most</th>
<th>limit</th><th>coroutines</th><th>waiting</th><th>stall</th></tr></thead><tbody id=loops></tbody></table></div></section>
<section class=card><h2>What coroutines wait for</h2><div class=scroll><table><thead><tr><th>coroutine</th><th class=l>waits for</th>
<th>how many</th></tr></thead><tbody id=waits></tbody></table></div></section>
<section class=card><h2>Since the start</h2><div class=scroll><table><tbody id=totals></tbody></table></div></section>
</div>
</main>
)html";

const std::string_view kStatusScript = R"js(
(() => {
'use strict';
const byId = id => document.getElementById(id);
const source = byId('now');
const first = JSON.parse(source.textContent);
const points = first.points;
const kKeep = 300;

// --- numbers for people ---
const digits = n => n >= 100 || n === Math.round(n) ? Math.round(n).toString() : n.toPrecision(n >= 10 ? 3 : 2);
const scaled = (n, step, units) => {
  let i = 0;
  while (n >= step * 0.9995 && i < units.length - 1) { n /= step; i++; }
  return [digits(n), units[i]];
};
const count = n => n < 10000 ? [digits(n), ''] : scaled(n, 1000, ['', ' k', ' M', ' G', ' T']);
const bytes = n => scaled(n, 1024, [' B', ' KiB', ' MiB', ' GiB', ' TiB']);
const time = s => s <= 0 ? ['0', ' ms'] : s < 1e-3 ? [digits(s * 1e6), ' µs'] : s < 1 ? [digits(s * 1e3), ' ms'] : [digits(s), ' s'];
const percent = n => [digits(n * 100), ' %'];
const text = pair => pair.join('');
const whole = n => n.toLocaleString('en').replace(/,/g, '\u202f');
const age = s => {
  s = Math.max(0, Math.round(s));
  const d = Math.floor(s / 86400), h = Math.floor(s / 3600) % 24, m = Math.floor(s / 60) % 60;
  return d ? d + ' d ' + h + ' h' : h ? h + ' h ' + m + ' min' : m ? m + ' min ' + s % 60 + ' s' : s + ' s';
};
const element = (tag, kind, content) => {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (content !== undefined) made.textContent = content;
  return made;
};

// --- the charts: what stands in a point is in StatusPoint ---
const charts = [
  {title: 'Requests per second', lines: [1], format: count, fill: true,
    big: p => count(p[1]), sub: () => [[whole(now.requests) + ' in all']]},
  {title: 'Latency', log: true, lines: [8, 7, 6], colours: ['c', 'b', 'a'], format: time, big: p => time(p[8]), unit: ' p99',
    sub: p => [[text(time(p[6])) + ' p50', 0], [text(time(p[7])) + ' p90', 1], ['p99', 2]]},
  {title: 'Connections', lines: [12, 13, 14], colours: ['d', 'a', 'b'], stacked: true, format: count,
    big: p => count(p[12] + p[13] + p[14]),
    sub: p => [[whole(p[12]) + ' idle', 3], [whole(p[13]) + ' active', 0], [whole(p[14]) + ' waiting', 1]]},
  {title: 'Stacks in use', when: p => p[19] === 0 && p[17] > 1, lines: [15], marks: [16, 17], format: count, fill: true,
    big: p => count(p[15]), unit: p => ' of ' + whole(p[17]), sub: p => [['most so far ' + whole(p[16]), 1]]},
  {title: 'OS threads that serve', when: p => p[19] > 0, lines: [18], marks: [19], format: count, fill: true,
    big: p => count(p[18]), unit: p => ' of ' + whole(p[19]), sub: p => [[whole(p[13]) + ' requests in progress']]},
  {title: 'Traffic per second', lines: [5, 4], colours: ['a', 'd'], format: bytes, big: p => bytes(p[5]),
    sub: p => [['sent', 0], [text(bytes(p[4])) + ' received', 3]]},
  {title: 'Errors per second', lines: [2, 3], colours: ['b', 'c'], stacked: true, format: count,
    big: p => count(p[2] + p[3]), sub: p => [[digits(p[2]) + ' of 4xx', 1], [digits(p[3]) + ' of 5xx', 2]]},
  {title: 'CPU', lines: [11], format: percent, fill: true, big: p => percent(p[11]),
    sub: () => [[text(bytes(now.resident)) + ' resident'], [whole(now.descriptors) + ' descriptors']]},
  {title: 'New connections a second', lines: [10], format: count, fill: true, big: p => count(p[10]),
    sub: p => [[p[9] > 2e-6 ? text(time(p[9])) + ' p99 until a stack' : 'none had to wait for a stack']]},
];
let now = first.details;
let hovered = null;  // a time

for (const chart of charts) {
  chart.card = element('section', 'card');
  chart.bigText = element('div', 'big');
  chart.subText = element('div', 'sub');
  chart.canvas = element('canvas');
  chart.card.append(element('h2', '', chart.title), chart.bigText, chart.subText, chart.canvas);
  byId('charts').append(chart.card);
  chart.canvas.addEventListener('pointermove', event => {
    const box = chart.canvas.getBoundingClientRect();
    const [from, to] = span();
    hovered = from + (event.clientX - box.left) / box.width * (to - from);
    draw();
  });
  chart.canvas.addEventListener('pointerleave', () => { hovered = null; draw(); });
}

const nothing = new Array(20).fill(0);
const span = () => {
  const to = points.length ? points[points.length - 1][0] : 1;
  return [to - Math.min(kKeep, Math.max(60, points.length ? to - points[0][0] : 0)), to];
};
// A pleasant number, at least so large.
const ceiling = n => {
  if (n <= 0) return 1;
  const unit = Math.pow(10, Math.floor(Math.log10(n)));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map(f => f * unit).find(f => f >= n * 1.0001);
};

function drawChart(chart, colour) {
  const canvas = chart.canvas, ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (!width) return;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext('2d');
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  const [from, to] = span();
  const shown = points.filter(p => p[0] >= from - 2);
  const sum = (p, upTo) => chart.lines.slice(0, upTo + 1).reduce((all, i) => all + p[i], 0);
  const value = (p, n) => chart.stacked ? sum(p, n) : p[chart.lines[n]];
  let most = 0;
  for (const p of shown) for (let n = 0; n < chart.lines.length; n++) most = Math.max(most, value(p, n));
  if (chart.marks) most = Math.max(most, shown.length ? shown[shown.length - 1][chart.marks[0]] : 0);
  const floor = height - 1, room = height - 14;
  // Latencies differ by thousands: decades. All else begins at nothing.
  let top = ceiling(most), bottom = 0;
  if (chart.log) {
    const some = shown.flatMap(p => chart.lines.map(i => p[i])).filter(v => v > 0);
    bottom = Math.pow(10, Math.floor(Math.log10(Math.min(...some, 1e-3))));
    top = Math.pow(10, Math.ceil(Math.log10(Math.max(most, bottom * 10))));
  }
  const height_of = v => chart.log ? Math.log(Math.max(v, bottom) / bottom) / Math.log(top / bottom) : v / top;
  const x = t => (t - from) / (to - from) * width, y = v => floor - height_of(v) * room;
  pen.font = '10px system-ui,sans-serif';
  pen.lineWidth = 1;
  pen.strokeStyle = colour('grid');
  const steps = chart.log ? Math.round(Math.log10(top / bottom)) : 2;
  for (let step = 0; step <= steps; step++) {
    const at = Math.round(floor - room * step / steps) + 0.5;
    pen.beginPath();
    pen.moveTo(0, at);
    pen.lineTo(width, at);
    pen.stroke();
  }
  // Where nobody looked for a while, nothing is drawn.
  const runs = [];
  for (const p of shown) {
    const last = runs[runs.length - 1];
    if (last && p[0] - last[last.length - 1][0] < 3.5) last.push(p); else runs.push([p]);
  }
  const path = (run, n) => run.forEach((p, i) => i ? pen.lineTo(x(p[0]), y(value(p, n))) : pen.moveTo(x(p[0]), y(value(p, n))));
  const order = chart.lines.map((_, n) => chart.stacked ? chart.lines.length - 1 - n : n);
  for (const n of order) for (const run of runs) {
    const shade = colour((chart.colours || ['a'])[n]);
    pen.fillStyle = pen.strokeStyle = shade;
    if (chart.fill || chart.stacked) {
      pen.beginPath();
      path(run, n);
      pen.lineTo(x(run[run.length - 1][0]), floor);
      pen.lineTo(x(run[0][0]), floor);
      if (chart.stacked) { pen.globalAlpha = 1; pen.fillStyle = colour('card'); pen.fill(); pen.fillStyle = shade; }
      pen.globalAlpha = chart.stacked ? 0.55 : 0.16;
      pen.fill();
      pen.globalAlpha = 1;
    }
    pen.lineWidth = 1.6;
    pen.lineJoin = 'round';
    pen.beginPath();
    path(run, n);
    pen.stroke();
    if (run.length === 1) { pen.beginPath(); pen.arc(x(run[0][0]) - 1, y(value(run[0], n)), 1.6, 0, 7); pen.fill(); }
  }
  const newest = points[points.length - 1] || nothing;
  (chart.marks || []).forEach((which, n) => {
    if (!newest[which] || newest[which] > top) return;
    pen.strokeStyle = colour(n ? 'c' : 'b');
    pen.setLineDash([3, 3]);
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(0, y(newest[which]));
    pen.lineTo(width, y(newest[which]));
    pen.stroke();
    pen.setLineDash([]);
  });
  pen.fillStyle = colour('dim');
  pen.fillText(text(chart.format(top)), 0, y(top) - 3);
  if (chart.log) pen.fillText(text(chart.format(bottom)), 0, floor - 3);
  if (hovered === null || !shown.length) return;
  const near = shown.reduce((a, b) => Math.abs(b[0] - hovered) < Math.abs(a[0] - hovered) ? b : a);
  pen.strokeStyle = colour('dim');
  pen.beginPath();
  pen.moveTo(x(near[0]), y(top));
  pen.lineTo(x(near[0]), floor);
  pen.stroke();
  const label = chart.lines.map(i => text(chart.format(near[i]))).join(' · ') +
    '  ' + new Date(near[0] * 1000).toTimeString().slice(0, 8);
  pen.textAlign = 'right';
  pen.fillText(label, width, y(top) - 3);
  pen.textAlign = 'left';
}

function draw() {
  const style = getComputedStyle(document.documentElement);
  const colour = name => style.getPropertyValue('--' + name).trim();
  const p = points[points.length - 1] || nothing;
  for (const chart of charts) {
    chart.card.hidden = Boolean(chart.when && !chart.when(p));
    const [value, unit] = chart.big(p);
    const behind = typeof chart.unit === 'function' ? chart.unit(p) : chart.unit || '';
    chart.bigText.replaceChildren(points.length ? value : '–', element('small', '', points.length ? unit + behind : ''));
    chart.subText.replaceChildren(...chart.sub(p).map(([words, key]) =>
      element('span', key === undefined ? 'kn' : 'k' + key, words)));
    drawChart(chart, colour);
  }
}

// --- the tables ---
const row = (...cells) => {
  const made = element('tr');
  made.append(...cells);
  return made;
};
const cell = (content, kind) => element('td', kind || '', content);
function showTables() {
  byId('uptime').textContent = 'up ' + age(now.uptime) + (now.draining ? ' · stopping' : '');
  byId('loops').replaceChildren(...now.loops.map((loop, i) => row(cell(i),
    cell(loop.threads_limit ? whole(loop.threads) : whole(loop.stacks)),
    cell(loop.threads_limit ? whole(loop.threads) : whole(loop.peak)),
    cell(whole(loop.threads_limit || loop.limit)), cell(whole(loop.coroutines)), cell(whole(loop.waiting)),
    cell(loop.stall === undefined ? '–' : loop.stall > 0 ? text(time(loop.stall)) : 'none', loop.stall === undefined ? 'none' : ''))));
  const most = now.waits.reduce((all, one) => Math.max(all, one.count), 1);
  byId('waits').replaceChildren(...(now.waits.length ? now.waits.map(one => {
    const what = cell('', 'w');
    what.append(one.what + (one.count === 1 && one.detail ? ' · ' + one.detail : ''));
    const bar = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    const part = document.createElementNS('http://www.w3.org/2000/svg', 'rect');
    part.setAttribute('width', (100 * one.count / most) + '%');
    part.setAttribute('height', '5');
    part.setAttribute('rx', '2');
    bar.append(part);
    const frame = element('span', 'bar');
    frame.append(bar);
    const name = cell(one.name || '(no name)');
    if (now.loops.length > 1) name.append(element('span', 'none', ' on loop ' + one.loop));
    what.append(frame);
    return row(name, what, cell(whole(one.count)));
  }) : [row(cell('none lives', 'none'), cell(''), cell(''))]));
  const list = object => Object.entries(object).map(([name, n]) => name + ' ' + whole(n)).join(' · ') || 'none';
  const totals = [['requests', list(now.methods)], ['responses', list(now.responses)], ['refused', list(now.refused)],
    ['timeouts', list(now.timeouts)], ['bytes', text(bytes(now.received)) + ' received · ' + text(bytes(now.sent)) + ' sent'],
    ['connections', whole(now.accepted) + ' accepted · ' + whole(now.closed) + ' closed · ' + whole(now.cut) + ' cut' +
      (now.drained ? ' · ' + whole(now.drained) + ' drained' : '')],
    ['TLS', whole(now.handshakes) + ' handshakes · ' + whole(now.failed_handshakes) + ' failed'],
    ['exceptions', whole(now.exceptions)], ['CPU time', age(now.cpu_seconds)]];
  byId('totals').replaceChildren(...totals.map(([name, what]) => row(cell(name), cell(what, 'w'))));
}

// --- what comes ---
byId('live-page').hidden = false;
const live = (on, words) => { byId('live').className = 'live ' + (on ? 'on' : 'off'); byId('live').textContent = words; };
showTables();
draw();
const events = new EventSource(source.dataset.events);
events.onopen = () => live(true, 'live');
events.onerror = () => live(false, 'no connection');
events.onmessage = event => {
  const news = JSON.parse(event.data);
  points.push(news.point);
  while (points.length > kKeep) points.shift();
  now = news.details;
  showTables();
  draw();
};
window.addEventListener('resize', draw);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
})();
)js";

}  // namespace webby
