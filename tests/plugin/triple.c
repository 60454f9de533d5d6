/* A library with one custom operator, `Triple` of the domain `ortperf.test`: three times a vector of floats.

   Compiled with -DLEAK_RUN=BYTES or -DLEAK_SESSION=BYTES it loses memory, with -DRACE threads share a buffer, with
   -DHANG a thread that comes while another is inside never ends, and with -DCRASH the first run aborts.

   ONNX Runtime's wheels come without its header. What is used of its C interface is declared here: functions by their
   place in OrtApi, and the callbacks of OrtCustomOp. None changes its place: new ones come behind. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

enum { API_VERSION = 13, FLOAT = 1, REQUIRED = 0, DEFAULT_MEMORY = 0 };
enum { CREATE_DOMAIN = 26, ADD_OPERATOR, ADD_DOMAIN };
enum { TENSOR_DATA = 51, ELEMENT_COUNT = 64, TYPE_AND_SHAPE, GET_INPUT = 90, GET_OUTPUT, RELEASE_TYPE_AND_SHAPE = 99 };

typedef struct { const void *const *(*get_api)(uint32_t); const char *(*version)(void); } ApiBase;
typedef void *(*Domain)(const char *, void **);
typedef void *(*Add)(void *, const void *);
typedef void *(*Get)(const void *, void **);
typedef void *(*Count)(const void *, size_t *);
typedef void *(*Input)(const void *, size_t, const void **);
typedef void *(*Output)(void *, size_t, const int64_t *, size_t, void **);
typedef void (*Release)(void *);

typedef struct Operator {
  uint32_t version;
  void *(*create)(const struct Operator *, const void *const *, const void *);
  const char *(*name)(const struct Operator *);
  const char *(*provider)(const struct Operator *);
  int (*input_type)(const struct Operator *, size_t);
  size_t (*inputs)(const struct Operator *);
  int (*output_type)(const struct Operator *, size_t);
  size_t (*outputs)(const struct Operator *);
  void (*compute)(void *, void *);
  void (*destroy)(void *);
  int (*input_characteristic)(const struct Operator *, size_t);
  int (*output_characteristic)(const struct Operator *, size_t);
  int (*input_memory)(const struct Operator *, size_t);
  void *later[16];
} Operator;

static const void *const *api;

__attribute__((unused)) static void lose(size_t size) {
  volatile char *lost = (volatile char *)malloc(size);
  for (size_t index = 0; index < size; index += 64) lost[index] = 1;
}

static void *create(const Operator *op, const void *const *given, const void *info) {
  (void)info;
  api = given;
#ifdef LEAK_SESSION
  lose(LEAK_SESSION);
#endif
  return (void *)op;
}
static const char *name(const Operator *op) { (void)op; return "Triple"; }
static const char *provider(const Operator *op) { (void)op; return NULL; }
static int type(const Operator *op, size_t index) { (void)op; (void)index; return FLOAT; }
static int required(const Operator *op, size_t index) { (void)op; (void)index; return REQUIRED; }
static int memory(const Operator *op, size_t index) { (void)op; (void)index; return DEFAULT_MEMORY; }
static size_t one(const Operator *op) { (void)op; return 1; }
static void destroy(void *kernel) { (void)kernel; }

static void compute(void *kernel, void *context) {
  const void *input;
  void *output, *shape, *from, *to;
  size_t count;
  (void)kernel;
  ((Input)api[GET_INPUT])(context, 0, &input);
  ((Get)api[TYPE_AND_SHAPE])(input, &shape);
  ((Count)api[ELEMENT_COUNT])(shape, &count);
  ((Release)api[RELEASE_TYPE_AND_SHAPE])(shape);
  int64_t size = (int64_t)count;
  ((Output)api[GET_OUTPUT])(context, 0, &size, 1, &output);
  ((Get)api[TENSOR_DATA])(input, &from);
  ((Get)api[TENSOR_DATA])(output, &to);
#ifdef CRASH
  abort();
#endif
#ifdef LEAK_RUN
  lose(LEAK_RUN);
#endif
#ifdef HANG
  static int inside;
  if (__atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST) > 1) for (;;) pause();
  usleep(1000);
#endif
#ifdef RACE
  static float shared[4096];
  for (size_t index = 0; index < count; index++) shared[index] = ((const float *)from)[index];
  usleep(50);
  from = shared;
#endif
  for (size_t index = 0; index < count; index++) ((float *)to)[index] = 3 * ((const float *)from)[index];
#ifdef HANG
  __atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST);
#endif
}

static const Operator triple = {API_VERSION, create,   name,     provider, type,   one,  type,
                                one,         compute,  destroy,  required, required, memory, {NULL}};

void *RegisterCustomOps(void *options, const ApiBase *base) {
  const void *const *functions = base->get_api(API_VERSION);
  void *domain, *status = ((Domain)functions[CREATE_DOMAIN])("ortperf.test", &domain);
  if (!status) status = ((Add)functions[ADD_OPERATOR])(domain, &triple);
  if (!status) status = ((Add)functions[ADD_DOMAIN])(options, domain);
  return status;
}
