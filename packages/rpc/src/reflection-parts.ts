// Everything that reflection needs, in one module to load lazily: 15 MB, 150 ms. The libraries are CommonJS, whose
// names a bundle knows only where they are imported by name.
export { loadFileDescriptorSetFromBuffer } from '@grpc/proto-loader';
export { ReflectionService } from '@grpc/reflection';
export { descriptorSetBase64 } from '@skein/contracts/descriptor';
