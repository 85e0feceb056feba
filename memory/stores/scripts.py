"""The Lua that Redis runs; the rules are those of the in-memory store, step by step.

Keys that depend on what is stored (slots of a domain, payload of a label) are
built from the prefix, which holds a hash tag: all are in the cluster slot of
the declared ones.
"""

LEHMER = """
local state = tonumber(ARGV[2])
local function below(bound)
  state = (state * 16807) % 2147483647
  return math.floor(state * bound / 2147483647)
end
local prefix = ARGV[1]
local function slots_of(name) return prefix .. 'slots:' .. name end
local function payload_of(label) return prefix .. 'sample:' .. label end
local function names_of(key)
  local names = redis.call('HKEYS', key)
  table.sort(names)
  return names
end
"""

# KEYS: seen counts, limits, bytes by domain, next offsets, seen labels, payload of the new sample
# ARGV: prefix, evictions, slot, label, domain, payload, samples, bytes, partition or '', offset, labels to remember
ADMIT = (
    LEHMER
    + """
local seen, limits, sizes, offsets, labels = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local slot_chance, label, domain, data = tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6]
local max_samples, max_bytes = tonumber(ARGV[7]), tonumber(ARGV[8])
local partition, offset, remembered = ARGV[9], tonumber(ARGV[10]), tonumber(ARGV[11])

local known = redis.call('ZSCORE', labels, label)
if partition ~= '' then
  if offset < tonumber(redis.call('HGET', offsets, partition) or '0') then return {0, 1} end
  redis.call('HSET', offsets, partition, ARGV[10] + 1)
end
if known then return {0, 1} end
local last = redis.call('ZREVRANGE', labels, 0, 0, 'WITHSCORES')
redis.call('ZADD', labels, (tonumber(last[2] or '0')) + 1, label)
redis.call('ZREMRANGEBYRANK', labels, 0, -remembered - 1)

local evicted = {}
local function forget(name, gone)
  redis.call('HINCRBY', sizes, name, -redis.call('STRLEN', payload_of(gone)))
  redis.call('DEL', payload_of(gone))
  evicted[#evicted + 1] = gone
end
local function evict(name)
  local key = slots_of(name)
  local i = below(redis.call('LLEN', key))
  local gone = redis.call('LINDEX', key, i)
  redis.call('LSET', key, i, redis.call('LINDEX', key, -1))
  redis.call('RPOP', key)
  forget(name, gone)
end

redis.call('HSETNX', seen, domain, 0)
local names = names_of(seen)
local quota = math.max(1, math.floor(max_samples / #names))
for _, name in ipairs(names) do
  local limit = math.min(tonumber(redis.call('HGET', limits, name) or quota), quota)
  redis.call('HSET', limits, name, limit)
  while redis.call('LLEN', slots_of(name)) > limit do evict(name) end
end

local n, limit = tonumber(redis.call('HGET', seen, domain)), tonumber(redis.call('HGET', limits, domain))
local slot = n
if n >= limit then slot = math.floor(slot_chance * (n + 1)) end
redis.call('HINCRBY', seen, domain, 1)
if slot < limit then
  local key = slots_of(domain)
  if slot < redis.call('LLEN', key) then
    forget(domain, redis.call('LINDEX', key, slot))
    redis.call('LSET', key, slot, label)
  else
    redis.call('RPUSH', key, label)
  end
  redis.call('SET', KEYS[6], data)
  redis.call('HINCRBY', sizes, domain, #data)
end

while true do
  local count, bytes, largest, most = 0, 0, nil, -1
  for _, name in ipairs(names) do
    local length = redis.call('LLEN', slots_of(name))
    count, bytes = count + length, bytes + tonumber(redis.call('HGET', sizes, name) or '0')
    if length > most then largest, most = name, length end
  end
  if count <= max_samples and bytes <= max_bytes then break end
  evict(largest)
  redis.call('HSET', limits, largest, math.max(1, most - 1))
end

local reply = {redis.call('EXISTS', KEYS[6]), 0}
for _, gone in ipairs(evicted) do
  if gone ~= label then reply[#reply + 1] = gone end
end
return reply
"""
)

# KEYS: seen counts by domain; ARGV: prefix, start, policy as JSON
DRAW = (
    LEHMER
    + """
local policy = cjson.decode(ARGV[3])
local excluded, only = {}, nil
for _, name in ipairs(policy.exclude) do excluded[name] = true end
if policy.domains ~= cjson.null then
  only = {}
  for _, name in ipairs(policy.domains) do only[name] = true end
end
local groups, all = {}, {}
for _, name in ipairs(names_of(KEYS[1])) do
  if (not only or only[name]) and not excluded[name] then
    local stored = redis.call('LRANGE', slots_of(name), 0, -1)
    if policy.count ~= cjson.null then
      for _, label in ipairs(stored) do all[#all + 1] = label end
    else
      local wanted = policy.each
      if wanted == cjson.null then wanted = policy.named[name] or 0 end
      groups[#groups + 1] = {stored, wanted}
    end
  end
end
if policy.count ~= cjson.null then groups = {{all, policy.count}} end
local drawn = {}
for _, group in ipairs(groups) do
  local stored, wanted = group[1], group[2]
  for i = 1, math.min(wanted, #stored) do
    local j = i + below(#stored - i + 1)
    stored[i], stored[j] = stored[j], stored[i]
    drawn[#drawn + 1] = redis.call('GET', payload_of(stored[i]))
  end
end
return drawn
"""
)

# KEYS: seen counts, bytes by domain; ARGV: prefix, start (unused)
STATS = (
    LEHMER
    + """
local reply = {}
for _, name in ipairs(names_of(KEYS[1])) do
  reply[#reply + 1] = {name, tonumber(redis.call('HGET', KEYS[1], name)), redis.call('LLEN', slots_of(name)),
    tonumber(redis.call('HGET', KEYS[2], name) or '0')}
end
return reply
"""
)

# KEYS: all that are declared elsewhere, without a payload; ARGV: prefix, start (unused)
CLEAR = (
    LEHMER
    + """
for _, name in ipairs(names_of(KEYS[1])) do
  for _, label in ipairs(redis.call('LRANGE', slots_of(name), 0, -1)) do redis.call('DEL', payload_of(label)) end
  redis.call('DEL', slots_of(name))
end
redis.call('DEL', unpack(KEYS))
return 1
"""
)
