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

# Before it: policy, sizes, evicted, max_samples, max_bytes, limits, and names for shrink.
POLICIES = """
local COMPARED = 32
local function traits_of(name) return prefix .. 'traits:' .. name end
local function points_of(name) return prefix .. 'points:' .. name end
local function classes_of(name) return prefix .. 'classes:' .. name end

local function forget(name, gone)
  redis.call('HINCRBY', sizes, name, -redis.call('STRLEN', payload_of(gone)))
  redis.call('DEL', payload_of(gone))
  redis.call('HDEL', traits_of(name), gone)
  redis.call('HDEL', points_of(name), gone)
  evicted[#evicted + 1] = gone
end
local function take_out(name, i)
  local key = slots_of(name)
  local gone = redis.call('LINDEX', key, i)
  redis.call('LSET', key, i, redis.call('LINDEX', key, -1))
  redis.call('RPOP', key)
  forget(name, gone)
end
local function map_of(key)
  local flat, map = redis.call('HGETALL', key), {}
  for i = 1, #flat, 2 do map[flat[i]] = flat[i + 1] end
  return map
end
-- Slots of a class, from 0, in their order.
local function slots_with(name, trait)
  local traits, found = map_of(traits_of(name)), {}
  for i, label in ipairs(redis.call('LRANGE', slots_of(name), 0, -1)) do
    if tonumber(traits[label] or '0') == trait then found[#found + 1] = i - 1 end
  end
  return found
end
local function largest_class(name)
  local traits, counts, largest = map_of(traits_of(name)), {}, nil
  for _, label in ipairs(redis.call('LRANGE', slots_of(name), 0, -1)) do
    local trait = tonumber(traits[label] or '0')
    counts[trait] = (counts[trait] or 0) + 1
  end
  for trait, count in pairs(counts) do
    if largest == nil or count > counts[largest] or (count == counts[largest] and trait < largest) then
      largest = trait
    end
  end
  for trait, count in pairs(counts) do
    if count == counts[largest] then redis.call('HSET', classes_of(name), 'f' .. trait, 1) end
  end
  return largest
end
-- A sample that was stored under another policy has no embedding: it lies at the origin.
local function apart(a, b)
  local sum = 0
  for i = 1, math.max(#a, #b) do
    local difference = (a[i] or 0) - (b[i] or 0)
    sum = sum + difference * difference
  end
  return sum
end
local function most_redundant(name)
  local labels = redis.call('LRANGE', slots_of(name), 0, -1)
  local chosen, points, slots = {#labels}, {}, {}
  for i = 1, #labels - 1 do slots[i] = i end
  for i = 1, math.min(COMPARED - 1, #slots) do
    local j = i + below(#slots - i + 1)
    slots[i], slots[j] = slots[j], slots[i]
    chosen[#chosen + 1] = slots[i]
  end
  if #chosen == 1 then return chosen[1] - 1 end
  for i, slot in ipairs(chosen) do
    local stored, point = redis.call('HGET', points_of(name), labels[slot]) or '', {}
    for k = 1, #stored do
      local value = string.byte(stored, k)
      point[k] = value < 128 and value or value - 256
    end
    points[i] = point
  end
  local first, second, least = 1, 2, math.huge
  local distances = {}
  for i = 1, #chosen do distances[i] = {} end
  for i = 1, #chosen do
    for k = i + 1, #chosen do
      local distance = apart(points[i], points[k])
      distances[i][k], distances[k][i] = distance, distance
      if distance < least then first, second, least = i, k, distance end
    end
  end
  if #chosen == 2 then return chosen[second] - 1 end
  local function next_of(i, other)
    local nearest = math.huge
    for k = 1, #chosen do
      if k ~= i and k ~= other and distances[i][k] < nearest then nearest = distances[i][k] end
    end
    return nearest
  end
  return chosen[next_of(first, second) < next_of(second, first) and first or second] - 1
end

local function evict(name)
  if policy == 'ring' then
    forget(name, redis.call('LPOP', slots_of(name)))
  elseif policy == 'class_balanced' then
    local among = slots_with(name, largest_class(name))
    take_out(name, among[below(#among) + 1])
  elseif policy == 'coreset' then
    take_out(name, most_redundant(name))
  else
    take_out(name, below(redis.call('LLEN', slots_of(name))))
  end
end

-- Gives up samples of the largest domains until all is within bounds.
local function shrink(names)
  while true do
    local count, bytes, largest, most = 0, 0, nil, -1
    for _, name in ipairs(names) do
      local length = redis.call('LLEN', slots_of(name))
      count, bytes = count + length, bytes + tonumber(redis.call('HGET', sizes, name) or '0')
      if length > most then largest, most = name, length end
    end
    if count <= max_samples and bytes <= max_bytes then return end
    evict(largest)
    if policy == 'reservoir' or policy == 'class_balanced' then
      redis.call('HSET', limits, largest, math.max(1, most - 1))
    end
  end
end
local function answer(label, payload)
  local reply = {redis.call('EXISTS', payload), 0}
  for _, gone in ipairs(evicted) do
    if gone ~= label then reply[#reply + 1] = gone end
  end
  return reply
end
"""

# KEYS: seen counts, limits, bytes by domain, next offsets, seen labels, shares by domain, labels by class,
#   payload of the new sample
# ARGV: prefix, evictions, slot, label, domain, payload, samples, bytes, partition or '', offset, labels to remember,
#   policy, the domain's shares and the classes shown as JSON, embedding
ADMIT = (
    LEHMER
    + """
local seen, limits, sizes, offsets, labels = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local paths, shown, payload = KEYS[6], KEYS[7], KEYS[8]
local slot_chance, label, domain, data = tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6]
local max_samples, max_bytes = tonumber(ARGV[7]), tonumber(ARGV[8])
local partition, offset, remembered = ARGV[9], tonumber(ARGV[10]), tonumber(ARGV[11])
local policy, classes, embedding = ARGV[12], cjson.decode(ARGV[14]), ARGV[15]
local evicted = {}
"""
    + POLICIES
    + """
local known = redis.call('ZSCORE', labels, label)
if partition ~= '' then
  if offset < tonumber(redis.call('HGET', offsets, partition) or '0') then return {0, 1} end
  redis.call('HSET', offsets, partition, ARGV[10] + 1)
end
if known then return {0, 1} end
local last = redis.call('ZREVRANGE', labels, 0, 0, 'WITHSCORES')
redis.call('ZADD', labels, (tonumber(last[2] or '0')) + 1, label)
redis.call('ZREMRANGEBYRANK', labels, 0, -remembered - 1)

redis.call('HSETNX', seen, domain, 0)
redis.call('HSET', paths, domain, ARGV[13])
local names = names_of(seen)

-- Each share is divided equally among its parts, down to the domains.
local parts, path_by = {}, {}
for _, name in ipairs(names) do
  local stored = redis.call('HGET', paths, name)
  local path, within = stored and cjson.decode(stored) or {name}, ''
  path_by[name] = path
  for _, part in ipairs(path) do
    parts[within] = parts[within] or {count = 0}
    if not parts[within][':' .. part] then
      parts[within][':' .. part] = true
      parts[within].count = parts[within].count + 1
    end
    within = within .. '/' .. part
  end
end
for _, name in ipairs(names) do
  local divisor, within = 1, ''
  for _, part in ipairs(path_by[name]) do
    divisor = divisor * parts[within].count
    within = within .. '/' .. part
  end
  local quota = math.max(1, math.floor(max_samples / divisor))
  local limit = math.min(tonumber(redis.call('HGET', limits, name) or quota), quota)
  redis.call('HSET', limits, name, limit)
  while redis.call('LLEN', slots_of(name)) > limit do evict(name) end
end

local trait, rarest = 0, nil
for _, value in ipairs(classes) do
  local count = tonumber(redis.call('HGET', shown, value) or '0')
  if rarest == nil or count < rarest then trait, rarest = value, count end
end
for _, value in ipairs(classes) do redis.call('HINCRBY', shown, value, 1) end

local key = slots_of(domain)
local function store(slot)
  if slot then
    local gone = redis.call('LINDEX', key, slot)
    redis.call('LSET', key, slot, label)
    forget(domain, gone)
  else
    redis.call('RPUSH', key, label)
  end
  redis.call('SET', payload, data)
  redis.call('HINCRBY', sizes, domain, #data)
  redis.call('HSET', traits_of(domain), label, trait)
  if embedding ~= '' then redis.call('HSET', points_of(domain), label, embedding) end
end

local n, limit = tonumber(redis.call('HGET', seen, domain)), tonumber(redis.call('HGET', limits, domain))
redis.call('HINCRBY', seen, domain, 1)
local length = redis.call('LLEN', key)
if policy == 'ring' then
  if length >= limit then evict(domain) end
  store()
elseif policy == 'coreset' then
  store()
  if length + 1 > limit then evict(domain) end
elseif policy == 'class_balanced' then
  local of_class = redis.call('HINCRBY', classes_of(domain), 'n' .. trait, 1)
  if length < limit then
    store()
  else
    largest_class(domain)
    if redis.call('HEXISTS', classes_of(domain), 'f' .. trait) == 0 then
      evict(domain)
      store()
    else
      local own, drawn = slots_with(domain, trait), math.floor(slot_chance * of_class)
      if drawn < #own then store(own[drawn + 1]) end
    end
  end
else
  local slot = n
  if n >= limit then slot = math.floor(slot_chance * (n + 1)) end
  if slot < limit then store(slot < length and slot or nil) end
end

shrink(names)
return answer(label, payload)
"""
)

# KEYS: seen counts, limits, bytes by domain, payload of the stored sample
# ARGV: prefix, evictions, label, domain, payload, samples, bytes, policy
REPLACE = (
    LEHMER
    + """
local seen, limits, sizes, payload = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local label, domain, data = ARGV[3], ARGV[4], ARGV[5]
local max_samples, max_bytes, policy = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
local evicted = {}
"""
    + POLICIES
    + """
if redis.call('HEXISTS', traits_of(domain), label) == 0 then return {0, 0} end
redis.call('HINCRBY', sizes, domain, #data - redis.call('STRLEN', payload))
redis.call('SET', payload, data)
shrink(names_of(seen))
return answer(label, payload)
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
  for _, kind in ipairs({'slots:', 'traits:', 'points:', 'classes:'}) do redis.call('DEL', prefix .. kind .. name) end
end
redis.call('DEL', unpack(KEYS))
return 1
"""
)
