"""What must happen together, as Lua scripts on the keys of one slot.

Each may be run again after a lost reply: END then says deleted, and CLAIM has counted twice until its keys end.

A conversation is three keys. KEYS[1], ``turns``, a hash: a turn's number → its header and sealed text; ``about`` →
whose it is and when it began; ``by`` → tags of who took part; ``x<turn>`` → that response was deleted, ``x``: all of it
was; ``j<turn>``, ``k<turn>`` → a background response that is no turn (``job_scripts``); ``c<turn>`` → the compaction
that stands for all up to it. KEYS[2], ``tree``, a sorted set: a turn, scored by the turn before it (0: none). KEYS[3],
``lives``, a sorted set: a turn whose response lives, or ``j<turn>``, scored by when it ends, in seconds of Redis' own
clock. A turn stays as long as its response lives or a turn after it stays.

A conversation object (``conv_…``) is one more member of its tree, OBJECT, which no turn has as its number: its text is
its metadata, the turn before it is its last one, and it lives as a response does. Beside it in the hash: ``d<turn>`` →
which items of a turn are deleted from it (``*``: none is left), ``held`` → the turn that is under way in it, and until
when. Its scripts are in ``object_scripts``.

No call has more than four words: Redis up to 6.2 keeps the array of a script's call for the next one, and takes it
for as long as it was after a script's INCRBYFLOAT (LiteLLM has such) cut it to four. A longer call then writes past
its end, and a Redis without jemalloc crashes. Keys are always written ``KEYS[n]``: some proxies in front of Redis check
that.
"""

import hashlib

# Turns outlive the responses that lead to them, so that no response leads to expired turns.
GRACE_SECONDS = 60

# What one run takes out at most, so that Redis is free for others.
COLLECTED_AT_ONCE = 100

# The conversation object of a tree. Turns have smaller numbers.
OBJECT = str(1 << 48)


class Script(str):
    """A Lua script; ``sha`` is the name under which Redis remembers it."""

    def __init__(self, text: str):
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


LIBRARY = f"""
local now = tonumber(redis.call('TIME')[1])
local left = {COLLECTED_AT_ONCE}
local object = '{OBJECT}'
local running = {{queued = true, in_progress = true}}

-- Whether `owner` may have the turn: 'found' and when the conversation began, else why not. Asks for the marks even
-- where nothing is stored, so that a user who lacks the right is told by any answer.
local function find(turn, owner)
  local about = redis.call('HGET', KEYS[1], 'about')
  local marks = redis.call('HEXISTS', KEYS[1], 'x') + redis.call('HEXISTS', KEYS[1], 'x' .. turn)
  if not about then return 'unknown' end
  local whose, started = about:match('^(%S+) (%d+)$')
  if whose ~= owner then return 'denied' end
  if marks > 0 then return 'deleted' end
  if tonumber(redis.call('ZSCORE', KEYS[3], turn) or 0) >= now then return 'found', started end
  if tonumber(redis.call('ZSCORE', KEYS[3], 'j' .. turn) or 0) >= now then return 'unfinished', started end
  -- In a living conversation object every turn that is there can be read.
  if tonumber(redis.call('ZSCORE', KEYS[3], object) or 0) < now then return 'unknown', started end
  return 'found', started
end

-- Seconds that a response may live from now on. `most`: of its conversation, 0 for no limit.
local function life(seconds, most, started)
  if tonumber(most) == 0 then return tonumber(seconds) end
  return math.min(seconds, started + most - now)
end

-- Takes out a turn that nothing needs, then the turns before it that only it needed; what one run does not manage,
-- the next one does.
local function drop(turn)
  while turn and turn:match('^[1-9]%d*$') and not redis.call('ZSCORE', KEYS[3], turn)
      and redis.call('ZCOUNT', KEYS[2], turn, turn) == 0 do
    if left == 0 then
      redis.call('ZADD', KEYS[3], 0, turn)
      return
    end
    left = left - 1
    local before = redis.call('ZSCORE', KEYS[2], turn)
    redis.call('HDEL', KEYS[1], turn, 'd' .. turn)
    redis.call('HDEL', KEYS[1], 'c' .. turn)
    redis.call('ZREM', KEYS[2], turn)
    turn = before
  end
end

-- Takes out what has ended.
local function collect()
  local over = math.min(redis.call('ZCOUNT', KEYS[3], '-inf', '(' .. now), left)
  if over == 0 then return end
  for _, ended in ipairs(redis.call('ZRANGE', KEYS[3], 0, over - 1)) do
    redis.call('ZREM', KEYS[3], ended)
    local turn = ended:match('^j(%d+)$')
    if turn then redis.call('HDEL', KEYS[1], ended, 'k' .. turn) end
    drop(ended)
  end
end

local function keep_keys(seconds)
  if redis.call('TTL', KEYS[1]) < seconds then redis.call('EXPIRE', KEYS[1], seconds) end
  if redis.call('TTL', KEYS[2]) < seconds then redis.call('EXPIRE', KEYS[2], seconds) end
  if redis.call('TTL', KEYS[3]) < seconds then redis.call('EXPIRE', KEYS[3], seconds) end
end

-- Of a turn that is made in the background: nil where it is not, or is stored.
local function status_of(turn)
  return (redis.call('HGET', KEYS[1], 'j' .. turn) or ''):match('^%S+')
end

-- It is a turn now.
local function end_job(turn)
  redis.call('HDEL', KEYS[1], 'j' .. turn, 'k' .. turn)
  redis.call('ZREM', KEYS[3], 'j' .. turn)
end

-- Notes whose the conversation is, and who took part: `tags`, with spaces between them.
local function note(owner, began, tags)
  local by = redis.call('HGET', KEYS[1], 'by') or ''
  for tag in tags:gmatch('%S+') do
    if not (by .. ' '):find(' ' .. tag .. ' ', 1, true) then by = by .. ' ' .. tag end
  end
  redis.call('HSET', KEYS[1], 'by', by)
  redis.call('HSET', KEYS[1], 'about', owner .. ' ' .. began)
end

-- Makes the life of a turn's response at least `seconds`; then takes out what has ended. A full Redis and a replica
-- refuse the life, and still serve what they have.
local function renew(turn, seconds)
  local ends = now + seconds
  if tonumber(redis.call('ZSCORE', KEYS[3], turn) or 0) >= ends then return end
  if type(redis.pcall('ZADD', KEYS[3], ends, turn)) == 'table' then return end
  keep_keys(seconds + {GRACE_SECONDS})
  collect()
end

-- What READ gives of `turn` and all before it, but for the life; 'found' comes first where all of it is given.
local function chain(turn, started, most_turns, most_bytes, most_now)
  local text = redis.call('HGET', KEYS[1], turn)
  local number, bytes, size = (text or ''):match('^(%d+) (%d+) (%d+) ')
  if not number then return {{'incomplete'}} end
  if tonumber(number) > tonumber(most_turns) or math.max(bytes, size) > tonumber(most_bytes) then
    return {{'too_large'}}
  end
  if tonumber(bytes) > tonumber(most_now) then return {{'large', bytes}} end
  local deleted = redis.call('HGET', KEYS[1], 'd' .. turn) or ''
  local found = {{'found', started, redis.call('HLEN', KEYS[1]) - 2 .. ' ' .. deleted}}
  for i = tonumber(number), 1, -1 do
    if not text then return {{'incomplete'}} end
    found[2 * i + 2], found[2 * i + 3] = turn, text
    turn = redis.call('ZSCORE', KEYS[2], turn)
    if not turn then return {{'incomplete'}} end
    text = turn ~= '0' and redis.call('HGET', KEYS[1], turn)
  end
  return turn == '0' and found or {{'incomplete'}}
end
"""

# Adds turns, each after the one before; the response of the last one lives. ARGV: the turn to follow (0: none), the
# owner, seconds to live, the conversation's longest life (0: none), when it began (0: now), tags with spaces between
# them, then pairs of turn and text. Gives 1; 0 when the turn to follow is not there (any more); -1 when somebody ended
# it on purpose, so that it must not come back with what is still under way; -2 at the end of the longest life.
APPEND = Script(f"""
{LIBRARY}
local before, began = ARGV[1], ARGV[5] == '0' and now or ARGV[5]
local about = redis.call('HGET', KEYS[1], 'about')
if about then
  local whose, started = about:match('^(%S+) (%d+)$')
  if whose ~= ARGV[2] then return -1 end
  began = started
end
if redis.call('HEXISTS', KEYS[1], 'x') == 1 or redis.call('HEXISTS', KEYS[1], 'x' .. before) == 1 then return -1 end
local status = status_of(ARGV[#ARGV - 1])
if status and not running[status] or redis.call('HEXISTS', KEYS[1], 'x' .. ARGV[#ARGV - 1]) == 1 then return -1 end
local seconds = life(ARGV[3], ARGV[4], began)
if seconds < 1 then return -2 end
if before ~= '0' and not (redis.call('ZSCORE', KEYS[2], before) and redis.call('HEXISTS', KEYS[1], before) == 1) then
  return 0
end
note(ARGV[2], began, ARGV[6])
for i = 7, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  redis.call('ZADD', KEYS[2], before, ARGV[i])
  before = ARGV[i]
end
if status then end_job(before) end
renew(before, seconds)
return 1
""")

# A turn and all before it; the life of its response renewed. ARGV: turn, owner, seconds to live, the conversation's
# longest life (0: none), the most turns and bytes (here, and of text) that may be read at all, the most bytes that are
# given now. Gives a word (see results.Miss); after 'large' the bytes, more than may be given now; after 'found' when
# the conversation began, how many turns and marks of deleted ones it has over all branches with which items of the turn
# are deleted from its conversation object behind a space, then turn, text, turn, …, oldest first.
READ = Script(f"""
{LIBRARY}
local result, started = find(ARGV[1], ARGV[2])
if result ~= 'found' then return {{result}} end
local seconds = life(ARGV[3], ARGV[4], started)
if seconds < 1 then return {{'unknown'}} end
local given = chain(ARGV[1], started, ARGV[5], ARGV[6], ARGV[7])
if given[1] == 'found' then renew(ARGV[1], seconds) end
return given
""")

# The compaction that stands for a turn and all before it. ARGV: turn, owner, one that was made (empty: none). Gives a
# word as READ does; after 'found' the compaction, the first that was made, empty where there is none.
COMPACTED = Script(f"""
{LIBRARY}
local result, field = find(ARGV[1], ARGV[2]), 'c' .. ARGV[1]
if result ~= 'found' then return {{result}} end
local made = redis.call('HGET', KEYS[1], field)
if not made and ARGV[3] ~= '' then redis.call('HSET', KEYS[1], field, ARGV[3]) end
return {{result, made or ARGV[3]}}
""")

# Ends the life of a turn's response; nothing follows it while what was read of it may be under way. ARGV: turn, owner,
# seconds that the mark lives at least. Gives a word as READ does; 'left' where it is to run again to take out more.
# KEYS[4]: the events of a background response, which ends so, too.
END = Script(f"""
{LIBRARY}
local result = find(ARGV[1], ARGV[2])
if result == 'found' or result == 'unfinished' then
  redis.call('ZREM', KEYS[3], ARGV[1])  -- first: a full Redis takes the rest of a script that has freed something
  end_job(ARGV[1])
  redis.call('HDEL', KEYS[1], 'c' .. ARGV[1])
  redis.call('UNLINK', KEYS[4])
  redis.call('ZADD', KEYS[3], 0, ARGV[1])
  redis.call('HSET', KEYS[1], 'x' .. ARGV[1], '')
  keep_keys(tonumber(ARGV[3]))
elseif result ~= 'deleted' then
  return result
end
collect()
if redis.call('ZCARD', KEYS[2]) == 0 then redis.call('HDEL', KEYS[1], 'by') end
return redis.call('ZCOUNT', KEYS[3], '-inf', '(' .. now) > 0 and 'left' or result
""")

# Takes out a conversation; nothing follows any of its turns while what was read of it may be under way. KEYS from the
# fourth on: events of background responses. ARGV: seconds that the mark lives at least.
ERASE = Script("""
local seconds = math.max(ARGV[1], redis.call('TTL', KEYS[1]), redis.call('TTL', KEYS[2]), redis.call('TTL', KEYS[3]))
local about = redis.call('HGET', KEYS[1], 'about')
for i = 1, #KEYS do redis.call('UNLINK', KEYS[i]) end
redis.call('HSET', KEYS[1], 'x', '')
if about then redis.call('HSET', KEYS[1], 'about', about) end
redis.call('EXPIRE', KEYS[1], seconds)
return 1
""")

# Takes room for what an owner's conversation is to gain, or gives it back (less than 0 bytes). KEYS: sizes (a hash: a
# conversation → its bytes, ``all`` → theirs), ends (a sorted set: a conversation, scored by when it ends). ARGV:
# conversation, bytes, seconds to live, the most bytes of all. Gives 1; 0 where that would be more. What is taken out of
# a conversation counts until its end.
CLAIM = Script(f"""
local now = tonumber(redis.call('TIME')[1])
local over = math.min(redis.call('ZCOUNT', KEYS[2], '-inf', '(' .. now), {COLLECTED_AT_ONCE})
local all = tonumber(redis.call('HGET', KEYS[1], 'all') or 0)
for _, ended in ipairs(over > 0 and redis.call('ZRANGE', KEYS[2], 0, over - 1) or {{}}) do
  all = all - (redis.call('HGET', KEYS[1], ended) or 0)
  redis.call('HDEL', KEYS[1], ended)
  redis.call('ZREM', KEYS[2], ended)
end
local is_room = tonumber(ARGV[2]) <= 0 or all + ARGV[2] <= tonumber(ARGV[4])
redis.call('HSET', KEYS[1], 'all', is_room and all + ARGV[2] or all)
if is_room then
  redis.call('HSET', KEYS[1], ARGV[1], (redis.call('HGET', KEYS[1], ARGV[1]) or 0) + ARGV[2])
  redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[1])
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[3])
return is_room and 1 or 0
""")

# Marks that all of somebody has been erased now. KEYS: mark. ARGV: seconds to live.
ERASED = Script("""
redis.call('SET', KEYS[1], redis.call('TIME')[1])
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
""")

# Gives how many seconds ago somebody was erased: 0 while that is running, -1 for never. KEYS: mark.
ERASED_AGO = Script("""
local at = redis.call('GET', KEYS[1])
if not at then return -1 end
local now = tonumber(redis.call('TIME')[1])
return math.max(0, now - (tonumber(at) or now))
""")
