// SPDX-License-Identifier: Apache-2.0

// The row of kafkajs.

const { Kafka, CompressionTypes, CompressionCodecs, ConfigResourceTypes, logLevel } = require('kafkajs')

const RECORDS = 300
const PADDING = 'x'.repeat(200)

// secured is what a client has to know where it logs in over TLS.
function secured() {
  const { CA, USERNAME, PASSWORD } = process.env
  if (!CA) return {}
  return { ssl: { ca: [require('fs').readFileSync(CA)] }, sasl: { mechanism: 'scram-sha-512', username: USERNAME, password: PASSWORD } }
}

const kafka = new Kafka({ ...secured(), brokers: process.env.BOOTSTRAP.split(','), logLevel: logLevel.ERROR, retry: { retries: 20, initialRetryTime: 100, maxRetryTime: 1000 } })

// kafkajs itself has gzip only.
function registerCodecs() {
  CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
  const LZ4 = require('kafkajs-lz4')
  CompressionCodecs[CompressionTypes.LZ4] = new LZ4().codec
  const zstd = new Promise(resolve => require('zstd-codec').ZstdCodec.run(z => resolve(new z.Streaming())))
  CompressionCodecs[CompressionTypes.ZSTD] = () => ({
    compress: async encoder => Buffer.from((await zstd).compress(encoder.buffer)),
    decompress: async buffer => Buffer.from((await zstd).decompress(buffer)),
  })
}

async function roundtrip(topic, codec) {
  registerCodecs()
  const codecs = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy, lz4: CompressionTypes.LZ4, zstd: CompressionTypes.ZSTD }
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  const messages = [...Array(RECORDS).keys()].map(i => ({ key: `k-${i}`, value: `v-${i}${PADDING}`, headers: { n: `${i}` } }))
  await producer.send({ topic, messages, acks: -1, compression: codecs[codec] })
  await producer.disconnect()
  const consumer = kafka.consumer({ groupId: `${topic}-reader` })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  const seen = new Set()
  await new Promise((resolve, reject) => {
    consumer.run({
      eachMessage: async ({ partition, message }) => {
        const n = message.key.toString().slice(2)
        if (message.value.toString() !== `v-${n}${PADDING}` || message.headers.n.toString() !== n || seen.has(n)) {
          reject(new Error(`record at ${partition}/${message.offset} is wrong or there twice: ${message.key}`))
        }
        seen.add(n)
        if (seen.size === RECORDS) resolve()
      },
    })
  })
  await consumer.disconnect()
}

// expect tries for a while: brokers hear of a change one after the other, as Kafka's do.
async function expect(what, get, want) {
  for (const until = Date.now() + 5000; ; ) {
    const got = await get()
    if (got === want) return
    if (Date.now() > until) throw new Error(`${what}: ${got}, want ${want}`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

async function retention(admin, topic) {
  const { resources } = await admin.describeConfigs({ resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configNames: ['retention.ms'] }], includeSynonyms: false })
  return resources[0].configEntries[0].configValue
}

async function admin(topic) {
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic, numPartitions: 3, replicationFactor: 3, configEntries: [{ name: 'retention.ms', value: '1234567' }] }] })
  await expect('retention', () => retention(admin, topic), '1234567')
  await admin.alterConfigs({ validateOnly: false, resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries: [{ name: 'retention.ms', value: '7654321' }] }] })
  await expect('retention', () => retention(admin, topic), '7654321')
  await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] })
  await expect('partitions', async () => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length, 5)
  await expect('offsets', async () => (await admin.fetchTopicOffsets(topic)).length, 5)
  await admin.listGroups()
  await expect('brokers', async () => (await admin.describeCluster()).brokers.length, 3)
  await admin.deleteTopics({ topics: [topic] })
  await expect('topics after deletion', async () => (await admin.listTopics()).includes(topic), false)
  await admin.disconnect()
}

const TXN_RECORDS = 100

// transactions commits some records and aborts others, and then copies what was committed.
async function transactions(topic, copied) {
  const producer = kafka.producer({ transactionalId: topic, maxInFlightRequests: 1, idempotent: true })
  await producer.connect()
  for (let i = 0; i < 10; i++) {
    for (const prefix of ['a', 'c']) {
      const txn = await producer.transaction()
      await txn.send({ topic, messages: [...Array(TXN_RECORDS / 10).keys()].map(j => ({ value: `${prefix}-${10 * i + j}` })) })
      await (prefix === 'c' ? txn.commit() : txn.abort())
    }
  }
  await producer.disconnect()
  const copier = kafka.producer({ transactionalId: copied, maxInFlightRequests: 1, idempotent: true })
  await copier.connect()
  const consumer = kafka.consumer({ groupId: copied, readUncommitted: false })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  let done = 0
  await new Promise((resolve, reject) => {
    consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => {
        try {
          const txn = await copier.transaction()
          await txn.send({ topic: copied, messages: [{ value: message.value }] })
          await txn.sendOffsets({ consumerGroupId: copied, topics: [{ topic, partitions: [{ partition, offset: `${Number(message.offset) + 1}` }] }] })
          await txn.commit()
          if (++done === TXN_RECORDS) resolve()
        } catch (err) {
          reject(err)
        }
      },
    })
  })
  await consumer.disconnect()
  await copier.disconnect()
}

async function member(topic, group) {
  const consumer = kafka.consumer({ groupId: group, sessionTimeout: 10000, heartbeatInterval: 1000 })
  consumer.on(consumer.events.GROUP_JOIN, e => console.log('assigned', (e.payload.memberAssignment[topic] || []).join(',')))
  consumer.on(consumer.events.REBALANCING, () => console.log('assigned'))
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    autoCommitInterval: 1000,
    eachMessage: async ({ message }) => console.log('record', message.value.toString()),
  })
  await new Promise(resolve => process.once('SIGTERM', resolve))
  await consumer.disconnect()
}

async function writer(topic, prefix) {
  let stopping = false
  process.once('SIGTERM', () => (stopping = true))
  const producer = kafka.producer()
  await producer.connect()
  for (let i = 0; !stopping; i++) {
    const value = `${prefix}-${i}`
    await producer.send({ topic, messages: [{ key: value, value }], acks: -1 })
    console.log('acked', value)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
  await producer.disconnect()
}

const SECURE_RECORDS = 10

// secure takes one step as a user: create, produce or consume.
async function secure(step, topic, group) {
  const kafka = new Kafka({ ...secured(), brokers: process.env.BOOTSTRAP.split(','), logLevel: logLevel.NOTHING })
  if (step === 'create') {
    const admin = kafka.admin()
    await admin.connect()
    await admin.createTopics({ topics: [{ topic, numPartitions: 1, replicationFactor: 3 }] })
    return admin.disconnect()
  }
  if (step === 'produce') {
    const producer = kafka.producer()
    await producer.connect()
    await producer.send({ topic, messages: [...Array(SECURE_RECORDS).keys()].map(i => ({ value: `s-${i}` })), acks: -1 })
    return producer.disconnect()
  }
  const consumer = kafka.consumer({ groupId: group })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await new Promise((resolve, reject) => {
    let n = 0
    consumer.on(consumer.events.CRASH, e => reject(e.payload.error))
    consumer.run({ autoCommitThreshold: 1, eachMessage: async () => void (++n === SECURE_RECORDS && setTimeout(resolve, 1000)) }).catch(reject)
  })
  await consumer.disconnect()
}

const [command, ...args] = process.argv.slice(2)
;({ roundtrip, admin, txn: transactions, member, writer, secure })[command](...args).then(
  () => process.exit(0),
  err => {
    console.error(err)
    process.exit(1)
  },
)
