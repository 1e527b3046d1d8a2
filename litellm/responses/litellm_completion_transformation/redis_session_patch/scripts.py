"""What must happen together, as Lua scripts on the keys of one slot; each may be run again after a lost reply.

A conversation is three keys: ``turns``, a hash from turn to sealed bytes; ``tree``, a sorted set of the turns whose
score is the turn before (0: none); ``lives``, a sorted set of the turns whose score is when the response of that
turn ends, in seconds of Redis' own clock. A turn stays as long as its response lives or a turn after it stays.

No call has more than four words: Redis up to 6.2 keeps the array of a script's call for the next one, and takes it
for as long as it was after a script's INCRBYFLOAT (LiteLLM has such) cut it to four. A longer call then writes past
its end, and a Redis without jemalloc crashes.
"""

import hashlib

# What one run takes out at most, so that Redis is free for others.
_COLLECTED_AT_ONCE = 100


class Script(str):
    """A Lua script; ``sha`` is the name under which Redis remembers it."""

    def __init__(self, text: str):
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


_LIBRARY = f"""
local turns, tree, lives = KEYS[1], KEYS[2], KEYS[3]
local now = tonumber(redis.call('TIME')[1])

-- Takes out a turn that nothing needs, then the turns before it that only it needed. Of a conversation without turns
-- the marks of what was deleted stay.
local function drop(turn)
  while turn and turn ~= '0' and not redis.call('ZSCORE', lives, turn)
      and redis.call('ZCOUNT', tree, turn, turn) == 0 do
    local before = redis.call('ZSCORE', tree, turn)
    redis.call('HDEL', turns, turn)
    redis.call('ZREM', tree, turn)
    turn = before
  end
  if redis.call('ZCARD', tree) > 0 then return end
  redis.call('DEL', tree, lives)
  for _, field in ipairs(redis.call('HKEYS', turns)) do
    if field:sub(1, 1) ~= 'x' then redis.call('HDEL', turns, field) end
  end
end

-- Makes the life of a turn's response, and that of the keys, at least `seconds`; then takes out what has ended.
-- A full Redis and a replica refuse the life, and still serve what they have.
local function renew(turn, seconds)
  local ends = now + seconds
  if tonumber(redis.call('ZSCORE', lives, turn) or 0) >= ends then return end
  local refused = type(redis.pcall('ZADD', lives, ends, turn)) == 'table'
  for _, key in ipairs(KEYS) do
    if redis.call('TTL', key) < seconds then redis.pcall('EXPIRE', key, seconds) end
  end
  if refused then return end
  local over = math.min(redis.call('ZCOUNT', lives, '-inf', '(' .. now), {_COLLECTED_AT_ONCE})
  if over == 0 then return end
  for _, ended in ipairs(redis.call('ZRANGE', lives, 0, over - 1)) do
    redis.call('ZREM', lives, ended)
    drop(ended)
  end
end
"""

# Adds turns, each after the one before. KEYS: turns, tree, lives. ARGV: seconds to live, the turn to follow (0: none),
# how many owner tags, the tags, then pairs of turn and sealed bytes. Gives 1; 0 when the turn to follow is not there
# (any more); -1 when somebody ended it on purpose, so that it must not come back with what is still under way.
APPEND = Script(
    f"""
{_LIBRARY}
local before, first = ARGV[2], 4 + ARGV[3]
if redis.call('HEXISTS', turns, 'x') == 1 or redis.call('HEXISTS', turns, 'x' .. before) == 1 then return -1 end
if before ~= '0' and not (redis.call('ZSCORE', tree, before) and redis.call('HEXISTS', turns, before) == 1) then
  return 0
end
for i = 4, first - 1 do redis.call('HSET', turns, 'o' .. ARGV[i], '') end
for i = first, #ARGV, 2 do
  redis.call('HSET', turns, ARGV[i], ARGV[i + 1])
  redis.call('ZADD', tree, before, ARGV[i])
  before = ARGV[i]
end
renew(before, tonumber(ARGV[1]))
return 1
"""
)

# A turn and all before it, oldest first, as turn, sealed bytes, turn, …; the life of its response renewed. KEYS:
# turns, tree, lives. ARGV: turn, how many turns, how many bytes in all, seconds to live. Gives nothing unless there
# are just so many, and nobody ended the turn.
READ = Script(
    f"""
{_LIBRARY}
local path, turn, bytes = {{}}, ARGV[1], 0
if redis.call('HEXISTS', turns, 'x' .. turn) == 1 then return nil end
for i = tonumber(ARGV[2]), 1, -1 do
  path[2 * i - 1] = turn
  local size = redis.call('HSTRLEN', turns, turn)
  if size == 0 then return nil end
  bytes = bytes + size
  turn = redis.call('ZSCORE', tree, turn)
  if not turn then return nil end
end
if turn ~= '0' or bytes ~= tonumber(ARGV[3]) then return nil end
for i = 1, 2 * tonumber(ARGV[2]), 2 do path[i + 1] = redis.call('HGET', turns, path[i]) end
renew(ARGV[1], tonumber(ARGV[4]))
return path
"""
)

# Ends the life of a turn's response; nothing follows it while what was read of it may be under way. KEYS: turns, tree,
# lives. ARGV: turn, seconds that the mark lives at least.
END = Script(
    f"""
{_LIBRARY}
local seconds = math.max(redis.call('TTL', turns), ARGV[2])
redis.call('ZREM', lives, ARGV[1])
drop(ARGV[1])
redis.call('HSET', turns, 'x' .. ARGV[1], '')
redis.call('EXPIRE', turns, seconds)
return 1
"""
)

# Takes out a conversation; nothing follows any of its turns while what was read of it may be under way. KEYS: turns,
# tree, lives. ARGV: seconds that the mark lives at least.
ERASE = Script(
    """
local seconds = tonumber(ARGV[1])
for _, key in ipairs(KEYS) do seconds = math.max(seconds, redis.call('TTL', key)) end
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
redis.call('HSET', KEYS[1], 'x', '')
redis.call('EXPIRE', KEYS[1], seconds)
return 1
"""
)

# Marks that all of somebody has been erased now. KEYS: mark. ARGV: seconds to live.
ERASED = Script(
    """
redis.call('SET', KEYS[1], redis.call('TIME')[1])
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
"""
)

# Gives how many seconds ago somebody was erased: 0 while that is running, -1 for never. KEYS: mark.
ERASED_AGO = Script(
    """
local at = redis.call('GET', KEYS[1])
if not at then return -1 end
local now = tonumber(redis.call('TIME')[1])
return math.max(0, now - (tonumber(at) or now))
"""
)

# Puts a value where nothing is, or in the place of our reservation. KEYS: session. ARGV: reservation, value, seconds
# to live. Gives 1; 0 when the place is taken.
COMMIT = Script(
    """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] and held ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""
)

# Takes out a value that is still the one we know. KEYS: session. ARGV: value.
RELEASE = Script(
    """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""
)

# Puts a mark in the place of a value that is still the one we know. KEYS: session. ARGV: value, mark, seconds that the
# mark lives at least.
MARK = Script(
    """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  local seconds = math.max(redis.call('TTL', KEYS[1]), ARGV[3])
  redis.call('SET', KEYS[1], ARGV[2])
  redis.call('EXPIRE', KEYS[1], seconds)
end
return 1
"""
)

# A life is only ever made longer, and stays as it is where Redis takes no writes. KEYS: session. ARGV: seconds to live.
PROLONG = Script(
    """
local left = redis.call('TTL', KEYS[1])
if left >= 0 and left < tonumber(ARGV[1]) then redis.pcall('EXPIRE', KEYS[1], ARGV[1]) end
return 1
"""
)
